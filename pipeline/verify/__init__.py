"""Re-checks a run from its bytes, wave by wave, as far as they prove anything; changes nothing.

`verify` walks the tree of waves; the other modules each hold one kind of truth against the rows:
places and ids (`nodes`), what trees grow from (`roots`), texts and prompts (`reach`), numbers
(`measures`, `logprobs`), verdicts, judgements (`asides`), snapshots and their drop lists.
"""
