"""A form with rows and settings: what was sent, its check, and its job request."""

import hashlib
from urllib.parse import urlencode

from api.console.row_check import RowCheck, check_rows, malformed
from api.console.row_table import RowTable
from api.console.uploads import Upload, csv_text
from api.http.problems import ProblemError, Violations, one_bad_value
from api.intake.bulk_request import build_job_request
from api.intake.csv_items import read_csv
from api.intake.validation import RequestLimits
from pipeline.service import JobRequest

#: Fields of the form that all items share.
SETTINGS = ("gtin", "format", "xdim_mm", "dpi", "size")


class RowForm:
    """Rows and settings that were sent.

    Args:
        upload: the form.
        max_rows: largest number of rows of a workbook, without the headings.

    Attributes:
        settings: the settings that have a value, as in the query of a CSV request.
        text: the rows as CSV; as they were pasted if they are not CSV.
        unreadable: the problem of rows that cannot be read; None if they can.
    """

    def __init__(self, upload: Upload, max_rows: int) -> None:
        self._fields = upload.fields
        self.settings = self._settings()
        self.unreadable: ProblemError | None = None
        try:
            self.text = csv_text(upload.rows if upload.file is None else upload.file, max_rows)
            if not self.text.strip():
                detail = "There are no rows. Choose a file, or paste rows with their headings."
                self.unreadable = one_bad_value("/items", "range", detail)
        except ProblemError as error:
            self.text = upload.rows.decode(errors="replace")
            self.unreadable = error

    def field(self, name: str) -> str:
        """Return the first value of a field; an empty text if the form does not have it."""
        return next(iter(self._fields.get(name, [])), "")

    def parameters(self) -> str:
        """Return the settings in a canonical form."""
        return urlencode(sorted(self.settings.items()))

    def digest(self) -> str:
        """Return the SHA-256 of rows and settings, in hexadecimal."""
        return hashlib.sha256(f"{self.parameters()}\n{self.text}".encode()).hexdigest()

    def check(self, limits: RequestLimits) -> RowCheck:
        """Check rows and settings, without accepting a job."""
        if self.unreadable is not None:
            return RowCheck(malformed(self.unreadable), RowTable([], []), [])
        return check_rows(self.text, self.settings, limits)

    def request(self, limits: RequestLimits) -> JobRequest:
        """Return the job request.

        Raises:
            ProblemError: 400 or 422 if rows or settings are invalid.
        """
        if self.unreadable is not None:
            raise self.unreadable
        violations = Violations()
        parsed = read_csv(self.text.encode(), self.settings, limits, violations)
        return build_job_request(parsed, limits, violations)

    def _settings(self) -> dict[str, str]:
        settings = {name: self.field(name).strip() for name in SETTINGS}
        settings["xdim_mm"] = settings["xdim_mm"].replace(",", ".")  # a decimal comma
        return {name: value for name, value in settings.items() if value}
