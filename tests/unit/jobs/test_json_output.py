"""Nothing but JSON on the standard output."""

import os
import sys

from jobs.json_output import kept_for_json


def test_what_libraries_print_goes_to_the_standard_error(capfd):
    with kept_for_json():
        sys.stdout.write("loading\n")
        os.write(1, b"from C\n")
    sys.stdout.write("{}\n")
    sys.stdout.flush()
    out, err = capfd.readouterr()
    assert out == "{}\n"
    assert "loading" in err and "from C" in err
