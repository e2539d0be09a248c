"""The report: one page that opens from a disk, without a network, made of the records alone.

    records --> summary --> tables, SVG (svg.py, figures.py, sweeps.py)  --> page.py: report.html
            --> items, packed (browser.py) --> the page's browser (browser.js)
            --> items, part by part (scan.py) --> view.py: the same page for a run of any size

Everything that a model or a data set wrote is text: it goes through Jinja's escaping, or from JSON
into text nodes. The page's policy lets no other script run than its own, and nothing be loaded.
"""

from results.report.cautions import headline, unfinished, warnings
from results.report.formats import FORMATS, report
from results.report.page import write_report

__all__ = ["FORMATS", "headline", "report", "unfinished", "warnings", "write_report"]
