"""What a person is told beside their data (GDPR, article 15(1) and (2))."""

from typing import Final

RIGHTS: Final = (
    "You may ask us to correct what is wrong and to complete what is missing (article 16).",
    "You may ask us to erase your data (article 17), or to restrict what is done with it (article 18).",
    "You may object to processing that rests on our interests or on the public interest (article 21).",
    "You may receive what you provided in a form that programs read, and have it passed on (article 20).",
    "You may take back a consent at any time; what was done before stays lawful (article 7).",
    "You may complain to a supervisory authority where you live, work, or where you see the breach"
    " (article 77).",
)
AUTOMATED: Final = (
    "No decision about you is made by a program alone, and you are not profiled (articles 15(1)(h) and 22)."
)
LEFT_OUT: Final = (
    "Data of other people, and which of our staff did or saw something, are left out (article 15(4))."
)
ERASED: Final = (
    "What was erased can no longer be read by anybody: it stands here as erased, with its category."
)
