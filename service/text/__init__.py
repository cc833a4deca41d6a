"""The front end for text: from a client's text to sentences in words that an engine speaks. Pure functions.

`reading.read` is the entry. The stages: `folding` (characters), `markup` (Markdown, HTML, SSML), `english` and
`chinese` (numbers, dates, abbreviations), `punctuation`, `sentences`.
"""
