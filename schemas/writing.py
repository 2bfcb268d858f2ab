"""Languages and scripts by the names that filters know them by."""

import unicodedata

LANGUAGES = frozenset(
    # What is told apart; zxx is text of no language.
    (
        *("ace", "af", "am", "an", "ar", "ary", "arz", "as", "az", "ba", "bcl", "be", "bg", "bn"),
        *("br", "bs", "ca", "crh", "cs", "cy", "da", "de", "dz", "el", "en", "eo", "es", "et"),
        *("eu", "ext", "fa", "fi", "fo", "fr", "fuv", "fy", "ga", "gcf", "gcr", "gd", "gl", "gom"),
        *("grc", "gu", "gug", "guw", "ha", "hbo", "he", "hi", "hr", "ht", "hu", "hy", "id", "ig"),
        *("is", "it", "ja", "jv", "ka", "kab", "kik", "kk", "km", "kn", "ko", "ku", "ky", "la"),
        *("lb", "lg", "lij", "ln", "lo", "lt", "ltg", "lv", "mg", "mk", "ml", "mn", "mr", "ms"),
        *("mt", "my", "ne", "nl", "nn", "no", "nso", "oc", "om", "or", "pa", "pcm", "pl", "ps"),
        *("pt", "qu", "ro", "ru", "rw", "sa", "sdh", "se", "si", "sk", "sl", "sn", "so", "sq"),
        *("sr", "st", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "ug", "uk"),
        *("ur", "uz", "uzs", "vec", "vi", "vo", "wa", "wuu", "xh", "yo", "yue", "zh", "zu", "zxx"),
    )
)
"""ISO 639 codes."""

_END_OF_LETTERS = 0x323B0


def script_of(letter: str) -> str:
    """How its Unicode name begins, in lower case: latin, cyrillic, cjk; "" for what is no letter.

    Full-width, mathematical and other dressed-up letters are of the script they stand for.
    """
    if not letter.isalpha():
        return ""
    plain = unicodedata.normalize("NFKC", letter)[0]
    return unicodedata.name(plain, "unknown").partition(" ")[0].lower()


def is_script(name: str) -> bool:
    """Whether any letter is of it."""
    return bool(name) and any(script_of(chr(code)) == name for code in range(_END_OF_LETTERS))
