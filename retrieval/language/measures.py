"""Units, currencies and number words, brought to one form each."""

from __future__ import annotations

from retrieval.language.words import word_list

UNITS: dict[str, str] = {
    form: name
    for name, forms in {
        "second": "seconds second sec secs",
        "minute": "minute minutes min mins",
        "hour": "hour hours hr hrs h",
        "day": "day days night nights",
        "business day": "",
        "week": "week weeks wk wks",
        "month": "month months mth mths",
        "year": "year years yr yrs",
        "mm": "mm millimetre millimetres millimeter millimeters",
        "cm": "cm centimetre centimetres centimeter centimeters",
        "m": "m metre metres meter meters",
        "km": "km kilometre kilometres kilometer kilometers",
        "inch": "inch inches",
        "foot": "foot feet ft",
        "mile": "mile miles",
        "g": "g gram grams gramme grammes",
        "kg": "kg kilo kilos kilogram kilograms",
        "oz": "oz ounce ounces",
        "lb": "lb lbs pound pounds",
        "ml": "ml millilitre millilitres milliliter milliliters",
        "l": "l litre litres liter liters",
        "time": "time times attempt attempts try tries",
        "point": "point points pt pts",
        "cent": "cent cents pence penny pennies",
        "kb": "kb kilobyte kilobytes",
        "mb": "mb megabyte megabytes",
        "gb": "gb gigabyte gigabytes gigs",
        "tb": "tb terabyte terabytes",
        "kbit/s": "kbit/s kbps kbit",
        "mbit/s": "mbit/s mbps mbit",
        "gbit/s": "gbit/s gbps gbit",
        "km/h": "km/h kmh kph",
        "m/s": "m/s",
        "mile/h": "mph",
        "wh": "wh",
        "kwh": "kwh",
        "mwh": "mwh",
        "w": "watt watts",
        "kw": "kw kilowatt kilowatts",
        "v": "volt volts",
        "°c": "°c celsius",
        "°f": "°f fahrenheit",
        "degree": "degree degrees",
    }.items()
    for form in forms.split()
}
DURATIONS: dict[str, tuple[str, int]] = {
    "minute": ("minute", 1),
    "hour": ("minute", 60),
    "day": ("minute", 24 * 60),
    "week": ("minute", 7 * 24 * 60),
    "month": ("month", 1),
    "year": ("month", 12),
}
"""Units of time that are multiples of each other: "two weeks" is "14 days", a month is no number of days."""
WORKDAYS_A_WEEK = 5
STRETCHES: tuple[tuple[str, str, str], ...] = (
    ("(?:an?|one) hour and a half|(?:one|1) and a half hours", "90", "minute"),
    ("(?:an?|one) hour and a quarter", "75", "minute"),
    ("three[ -]quarters of an hour", "45", "minute"),
    ("half an hour|a half[ -]hour", "30", "minute"),
    ("(?:a )?quarter of an hour", "15", "minute"),
    ("(?:an?|one) day and a half", "36", "hour"),
    ("half a day", "12", "hour"),
    ("(?:a |one )?fortnight", "14", "day"),
    ("half a year", "6", "month"),
    ("(?:an?|one) year and a half", "18", "month"),
    ("a decade", "10", "year"),
    ("a?round the clock|24/7|day (?:and|or) night", "24", "hour"),
)
"""(form, amount, unit) of stretches of time that are written without a number."""
PERIODS: dict[str, str] = {
    "hourly": "hour",
    "daily": "day",
    "nightly": "day",
    "weekly": "week",
    "monthly": "month",
    "yearly": "year",
    "annually": "year",
    "annual": "year",
}
CURRENCIES: dict[str, str] = {
    form: name
    for name, forms in {
        "usd": "$ usd dollar dollars buck bucks",
        "eur": "€ eur euro euros",
        "gbp": "£ gbp",
        "jpy": "¥ jpy yen",
        "inr": "₹ inr rupee rupees",
        "chf": "chf franc francs",
        "kr": "kr sek nok dkk krone kroner krona kronor",
    }.items()
    for form in forms.split()
}
SCALES: dict[str, float] = {"k": 1e3, "thousand": 1e3, "million": 1e6, "m": 1e6, "bn": 1e9, "billion": 1e9}
ONES = word_list(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
TENS = word_list("twenty thirty forty fifty sixty seventy eighty ninety")
SMALL = {word: number for number, word in enumerate(ONES)} | {
    word: 10 * number for number, word in enumerate(TENS, start=2)
}
