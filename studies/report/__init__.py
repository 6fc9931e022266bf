"""The project's report: prose in `sections/*.md`, every number in it from a record under results/.

records.py    the records, and the sentence that stands for a missing one
template.py   Markdown with @{record.field:format} in the places of numbers
formats.py    how a number is written      facts.py   values that follow from several records
scores.py     setting.py     the tables    tables.py  their form
pictures.py   the pictures that the report draws itself
write.py      the whole text               pdf.py     the text as a PDF
card.py       the card of the model that comes with the package
"""
