"""Objects: the parts of a table in an S3 bucket, fetched to a folder of the moment that nobody else can read.

Credentials, region and endpoint are boto3's business (its environment variables, profiles and roles). Nothing of them is
ever part of a message.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ai_factory_runtime.base.errors import DataUnreadable
from ai_factory_runtime.data.data_refusals import SourceUnavailable
from ai_factory_runtime.data.parts import Part, Parts, several_parts

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_ABSENT = ("404", "NoSuchKey", "NotFound")
_REFUSED = ("403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken")


@contextmanager
def fetched(source: str) -> Iterator[Parts]:
    """The objects that `s3://bucket/key` or `s3://bucket/prefix/` names, as files while the block lasts.

    Raises SourceUnavailable, DataUnreadable where there is no such object or one is no part.
    """
    bucket, _, key = source.removeprefix("s3://").partition("/")
    with tempfile.TemporaryDirectory(prefix="ai-factory-") as name, _told(source, bucket):
        folder, client = Path(name), _client(source)
        single = not key.endswith("/") and _exists(client, bucket, key)
        prefix = key if key.endswith("/") else f"{key}/"
        keys = [key] if single else _keys(client, bucket, prefix)
        if not keys:
            raise DataUnreadable(
                path=source, problem="there is no such object, and none whose key begins so",
                hint="data.source in usecase.yaml names s3://bucket/key or s3://bucket/prefix/.",
            )  # fmt: skip
        names = [Path(key).name] if single else [k.removeprefix(prefix) for k in keys]
        # An object's key may be any text; the file's name is a number, with the ending that tells CSV from Parquet.
        files = [
            Part(folder / f"{n:06d}{Path(k).suffix}", shown)
            for n, (k, shown) in enumerate(zip(keys, names, strict=True))
        ]
        parts = Parts(source, tuple(files), several=False) if single else several_parts(source, files)
        wanted = dict(zip((f.path for f in files), keys, strict=True))
        for part in parts.files:
            client.download_file(bucket, wanted[part.path], str(part.path))
        yield parts


def _client(source: str) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ModuleNotFoundError:
        raise SourceUnavailable(
            source=source,
            problem="boto3 is not installed",
            hint="Install the project with its extra `s3`: pip install -e '.[s3]'.",
        ) from None
    patience = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "max_attempts": 4})
    return boto3.client("s3", config=patience)


def _exists(client: Any, bucket: str, key: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if _code(error) in _ABSENT:
            return False
        raise
    return True


def _keys(client: Any, bucket: str, prefix: str) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return sorted(o["Key"] for page in pages for o in page.get("Contents", ()) if not o["Key"].endswith("/"))


@contextmanager
def _told(source: str, bucket: str) -> Iterator[None]:
    """What S3 or the way to it refuses, as an error of ours; the library's own words are not passed on."""
    try:
        yield
    except OSError as error:
        raise SourceUnavailable(
            source=source, problem=f"it cannot be kept for reading ({error.strerror or type(error).__name__})",
            hint="Free space in the system's folder for temporary files, or name another in TMPDIR.",
        ) from error  # fmt: skip
    except Exception as error:
        if not type(error).__module__.startswith(("botocore.", "boto3.", "s3transfer.")):
            raise
        problem, hint = _reason(error, bucket)
        raise SourceUnavailable(source=source, problem=problem, hint=hint) from None


def _reason(error: Exception, bucket: str) -> tuple[str, str]:
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

    signing_in = (
        "Sign in as for the AWS command line: a profile, a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    )
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return "there are no AWS credentials", signing_in
    if isinstance(error, ClientError):
        code = _code(error)
        if code == "NoSuchBucket":
            return f"there is no bucket {bucket!r}", "Correct data.source in usecase.yaml, or create the bucket."
        if code in _REFUSED:
            return f"S3 refuses it ({code})", f"{signing_in} The role needs s3:GetObject and s3:ListBucket there."
        return f"S3 answers {code}", "Run again; where it persists, look at the bucket in the AWS console."
    if isinstance(error, BotoCoreError):
        return f"S3 cannot be reached ({type(error).__name__})", "Check the network, the region and the endpoint."
    return f"the transfer failed ({type(error).__name__})", "Run again."


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "an error without a code"))
