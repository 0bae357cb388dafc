"""Advice on errors of S3, by error code."""

from pipeline.errors import StoreUnavailableError
from pipeline.settings import Settings

#: IAM action that each S3 operation needs. Sources: Service Authorization Reference, "Actions,
#: resources, and condition keys for Amazon S3"; S3 User Guide, "Multipart upload API and
#: permissions".
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
#: The doctor performs the operations of a worker. The policies of the API and the sweep deny some
#: of these operations.
AS_A_WORKER = (
    "The credentials of the API and the sweep intentionally have fewer rights: do not extend them, "
    "but run the doctor with a worker's credentials."
)
#: Error codes of a server that takes the bucket's name for a part of the object's key, or the
#: object's key for a bucket's name.
_ADDRESS = {"405", "InvalidBucketName", "MethodNotAllowed", "NoSuchBucket"}


def advice_on(error: StoreUnavailableError, settings: Settings, otherwise: str) -> str:
    """Return advice on an error of S3.

    Args:
        error: error that S3 returned.
        settings: settings of the service.
        otherwise: default, for error codes without advice of their own.
    """
    code, operation = error.code, error.operation
    if error.by_kms:
        return (
            "Allow these credentials to use the KMS key (kms:GenerateDataKey and kms:Decrypt). "
            f"Check that the key is enabled and in region {settings.s3_region}. The key is that of "
            "QRMILL_S3_SSE_KMS_KEY_ID or, without this setting, of the bucket's default encryption."
        )
    if operation.startswith("Assume"):
        return (
            "STS did not grant the role. Check AWS_ROLE_ARN, whether the token in the file of "
            "AWS_WEB_IDENTITY_TOKEN_FILE has expired, and the role's trust policy."
        )
    if code == "EndpointConnectionError" and settings.s3_addressing_style == "virtual":
        return f"{otherwise} {_NAMES}"
    if code in _DENIED and operation in ACTIONS:
        return (
            f"Grant {ACTIONS[operation]} if deploy/s3/actions.json lists it for the role (API, "
            f"worker or sweep) that uses these credentials. {AS_A_WORKER}"
        )
    return _BY_CODE.get(code, otherwise).format(region=settings.s3_region)


_NAMES = (
    "With QRMILL_S3_ADDRESSING_STYLE=virtual, the bucket's name is part of a host name that must "
    "resolve. QRMILL_S3_ADDRESSING_STYLE=path does not need such a host name."
)
_BY_CODE = {
    **dict.fromkeys(
        _REGION,
        "The bucket is not in the region of QRMILL_S3_REGION ({region}). Set this variable to the "
        "bucket's region.",
    ),
    **dict.fromkeys(
        _ENDED,
        "The credentials have expired and are not renewed. A session token in the environment or "
        "in a file is never renewed. Use a role (AWS_WEB_IDENTITY_TOKEN_FILE, or the role of a "
        "container or an instance), or access keys without an expiry time.",
    ),
    **dict.fromkeys(
        _KEYS,
        "Check that QRMILL_S3_ACCESS_KEY_ID and QRMILL_S3_SECRET_ACCESS_KEY (or, without them, the "
        "credentials that boto3 finds) are those of this server. A proxy in front of the server "
        "must forward the Host header and the path unchanged.",
    ),
    **dict.fromkeys(
        _NONE,
        "There are no credentials to sign requests with. Set QRMILL_S3_ACCESS_KEY_ID and "
        "QRMILL_S3_SECRET_ACCESS_KEY, or give this machine a role (AWS_WEB_IDENTITY_TOKEN_FILE, or "
        "the role of a container or an instance).",
    ),
    **dict.fromkeys(
        _ADDRESS,
        "Create the bucket, or correct QRMILL_BUCKET and QRMILL_STAGING_BUCKET. If the bucket "
        "exists, the server expects its name in another place of the URL: change "
        "QRMILL_S3_ADDRESSING_STYLE to path or virtual.",
    ),
    "FileNotFoundError": "Check that the file of AWS_WEB_IDENTITY_TOKEN_FILE exists.",
    "RequestTimeTooSkewed": "Synchronize the clocks of both machines with NTP.",
    "SlowDown": "S3 is limiting the rate of requests. Run fewer workers, or wait.",
}
