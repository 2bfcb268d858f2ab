"""What to do about what a store refuses, by the code, status or type of its error."""

from collections.abc import Set

ABOUT_CREDENTIALS = (
    "Check the credentials in the environment, and that they allow to read, write, list and delete "
    "below this location."
)
ABOUT_OPTIONS = "Check the location and its storage_options."

_UNKNOWN = (
    "The store does not know these credentials. Check the credentials in the environment "
    "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in AWS_PROFILE), and that the "
    "endpoint (AWS_ENDPOINT_URL) is the store they were made for."
)
_MISSING = (
    "No complete credentials were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name "
    "a profile in AWS_PROFILE; on a cluster, on the machines of driver and workers alike. For a "
    "public bucket, set storage_options.anon to true."
)
_STALE = (
    "The credentials have run out. Renew them in the environment and start the same command "
    "again; nothing that is committed is lost."
)
_REGION = (
    "The bucket lies in another region than was asked. Set AWS_DEFAULT_REGION to the bucket's "
    "region, or storage_options.client_kwargs.region_name; check the endpoint too."
)
_BUCKET = (
    "Does the bucket exist? Check its name, the account, and the endpoint (AWS_ENDPOINT_URL), and "
    "make the bucket first: it is never made here."
)
_NAME = "This is no name of a bucket; expected s3://BUCKET/FOLDER."
_CONDITION = (
    "The store does not know how to create an object only if it is absent (If-None-Match), "
    "without which two drivers could overwrite each other; use a store that does, or a shared "
    "filesystem."
)
_CLOCK = "Set this machine's clock: requests are signed with the time."
_PROFILE = (
    "Check AWS_PROFILE and the files of profiles (~/.aws/config and ~/.aws/credentials, or "
    "AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE)."
)

_BY_CODE = {
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"), _UNKNOWN),
    **dict.fromkeys(("ExpiredToken", "TokenRefreshRequired"), _STALE),
    **dict.fromkeys(("PermanentRedirect", "TemporaryRedirect", "Redirect"), _REGION),
    **dict.fromkeys(
        ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException"), _REGION
    ),
    "RequestTimeTooSkewed": _CLOCK,
    "NoSuchBucket": _BUCKET,
    "InvalidBucketName": _NAME,
    "AccessDenied": ABOUT_CREDENTIALS,
}
_BY_STATUS = {301: _REGION, 307: _REGION, 401: _UNKNOWN, 403: ABOUT_CREDENTIALS, 501: _CONDITION}
_BY_TYPE = {
    **dict.fromkeys(("NoCredentialsError", "PartialCredentialsError"), _MISSING),
    **dict.fromkeys(("SSOError", "LoginError", "TokenRetrievalError"), _STALE),
    **dict.fromkeys(("ProfileNotFound", "ConfigParseError", "ConfigNotFound"), _PROFILE),
    **dict.fromkeys(("InvalidRegionError", "NoRegionError"), _REGION),
}


def advice_on(code: str, status: int | None, types: Set[str]) -> str | None:
    """What to do about an error that no second try mends; None where nothing is known."""
    for kind, advice in _BY_TYPE.items():
        if kind in types:
            return advice
    return _BY_CODE.get(code) or (_BY_STATUS.get(status) if status is not None else None)
