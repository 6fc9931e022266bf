"""The project's report: prose in `sections/*.md`, every number in it from a record under results/.

records.py    what records there are, and what is said of one that is not there
template.py   Markdown with @{record.field:format} in the places of numbers
formats.py    how a number is written      facts.py   what follows from several records
scores.py     setting.py     the tables    tables.py   their form
pictures.py   the pictures that the report draws itself
write.py      all of it as one text        pdf.py     and as a PDF
"""
