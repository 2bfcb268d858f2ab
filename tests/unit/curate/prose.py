"""Texts of which it is plain what they are."""

ANSWER = (
    "The river rises in the mountains to the north and flows for some three hundred kilometres "
    "before it reaches the sea. Along its way it passes four large towns, each of which grew "
    "around a bridge, a mill, or a harbour. In the nineteenth century engineers straightened long "
    "stretches of the stream, so that barges could carry coal and timber, but floods became more "
    "frequent. Today several of the old meanders have been opened again, and otters, kingfishers "
    "and salmon have come back. Farmers were not happy at first, since some meadows now lie under "
    "water in spring; yet the soil there has become richer."
)
LISTED = """Here are four ways to save water at home:

1. **Fix leaks.** A dripping tap wastes a bucket of water a day.
2. **Take shorter showers.** Two minutes less save about twenty litres.
3. **Collect rain.** A barrel under the gutter waters the garden for a week.
4. **Fill the machine.** Half a load takes nearly as much as a full one.

Which of these would be easiest for you to start with this month?"""
CODE = """You can read the file line by line:

```python
with open("rivers.txt") as file:
    for line in file:
        name, length = line.split(",")
        print(f"{name}: {float(length):.1f} km")
```

The loop keeps only one line in memory, so it works for files of any size. If the file may be \
missing, wrap the call in a `try` block and tell the reader which name was expected there."""
GERMAN = (
    "Der Fluss entspringt im Gebirge und fließt dann etwa dreihundert Kilometer weit nach Norden. "
    "Im neunzehnten Jahrhundert wurde er begradigt, damit Schiffe Kohle und Holz tragen konnten."
)
RUSSIAN = "Река начинается в горах и течёт на север, пока не достигнет холодного моря."  # noqa: RUF001
JAPANESE = (
    "川は北の山から流れ出し、およそ三百キロメートルを経て海に注ぎます。途中に四つの町があります。"
)
QUESTION = "Why did engineers straighten the river in the nineteenth century?"

GOOD = (ANSWER, LISTED, CODE, GERMAN, RUSSIAN, JAPANESE, QUESTION, "Yes.", "42", "No, Ada did.")
