"""What to do about what S3 refuses: an error's code, and who has to change what."""

from pipeline.errors import StoreUnavailableError
from pipeline.settings import Settings

#: The action that a request needs (Service Authorization Reference, "Actions, resources, and
#: condition keys for Amazon S3"; S3 User Guide, "Multipart upload API and permissions").
ACTIONS = {
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
}
_DENIED = {"AccessDenied", "403", "AccessDeniedException", "AllAccessDisabled"}
_REGION = {
    "301",
    "307",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}
_ENDED = {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"}
_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch"}
_NONE = {"CredentialRetrievalError", "NoCredentialsError", "PartialCredentialsError"}
#: The doctor tries what a worker does; the API and the sweep do not, so their policies refuse it.
AS_A_WORKER = (
    "The API's and the sweep's credentials may do less, which is right: grant them nothing for "
    "this, and run the doctor with a worker's."
)
#: What a server that takes the bucket for a key, or a key for the bucket, may say.
_ADDRESS = {"405", "InvalidBucketName", "MethodNotAllowed", "NoSuchBucket"}


def advice_on(error: StoreUnavailableError, settings: Settings, otherwise: str) -> str:
    """Return what to do about ``error``; ``otherwise`` when its code says nothing of that."""
    code, operation = error.code, error.operation
    if error.by_kms:
        return (
            "Let these credentials use the KMS key: kms:GenerateDataKey and kms:Decrypt; see that "
            f"the key is enabled and in {settings.s3_region}. QRMILL_S3_SSE_KMS_KEY_ID names it, "
            "else the bucket's default encryption does."
        )
    if operation.startswith("Assume"):
        return (
            "STS does not give the role: see AWS_ROLE_ARN, that the file of "
            "AWS_WEB_IDENTITY_TOKEN_FILE is fresh, and whom the role's trust policy names."
        )
    if code == "EndpointConnectionError" and settings.s3_addressing_style == "virtual":
        return f"{otherwise} {_NAMES}"
    if code in _DENIED and operation in ACTIONS:
        return (
            f"Grant {ACTIONS[operation]}, if deploy/s3/actions.json has it for the part whose "
            f"credentials these are. {AS_A_WORKER}"
        )
    return _BY_CODE.get(code, otherwise).format(region=settings.s3_region)


_NAMES = (
    "With the bucket in the host, each bucket needs a name that resolves there; "
    "QRMILL_S3_ADDRESSING_STYLE=path does without."
)
_BY_CODE = {
    **dict.fromkeys(
        _REGION,
        "The bucket is in another region than QRMILL_S3_REGION ({region}): set that to the "
        "bucket's.",
    ),
    **dict.fromkeys(
        _ENDED,
        "The credentials have ended and are not renewed: a session token in the environment or a "
        "file ends by itself. Use a role (AWS_WEB_IDENTITY_TOKEN_FILE, a container's or an "
        "instance's), or keys.",
    ),
    **dict.fromkeys(
        _KEYS,
        "See that QRMILL_S3_ACCESS_KEY_ID and its secret (or what boto3 finds without them) are "
        "those of this server; a proxy before it has to pass Host and path on unchanged.",
    ),
    **dict.fromkeys(
        _NONE,
        "There is nothing to sign with: set QRMILL_S3_ACCESS_KEY_ID and its secret, or give this "
        "machine a role (AWS_WEB_IDENTITY_TOKEN_FILE, a container's or an instance's).",
    ),
    **dict.fromkeys(
        _ADDRESS,
        "Create the bucket, or correct QRMILL_BUCKET and QRMILL_STAGING_BUCKET; or the server "
        "wants the bucket elsewhere: try QRMILL_S3_ADDRESSING_STYLE=path, or virtual.",
    ),
    "FileNotFoundError": "See that the file of AWS_WEB_IDENTITY_TOKEN_FILE is there.",
    "RequestTimeTooSkewed": "Let both machines take the time from one source (NTP).",
    "SlowDown": "S3 is asked too much for now: run fewer workers, or wait.",
}
