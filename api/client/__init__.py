"""The Python client: ``Client`` submits requests, waits for tasks and downloads their bundles."""

from api.client.client import Client
from api.client.errors import (
    ApiError,
    DownloadError,
    QrmillError,
    TaskFailedError,
    UnreachableError,
    WaitTimeoutError,
)
from api.client.pagination import Filters
from api.client.submit import Form, Options, Submitted
from api.schemas.tasks import TaskStatus

__all__ = [
    "ApiError",
    "Client",
    "DownloadError",
    "Filters",
    "Form",
    "Options",
    "QrmillError",
    "Submitted",
    "TaskFailedError",
    "TaskStatus",
    "UnreachableError",
    "WaitTimeoutError",
]
