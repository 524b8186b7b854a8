"""Names derived from the use case's name: folder, Python package, command. The same text gives the same names everywhere."""

from __future__ import annotations

import hashlib
import keyword
import re
import sys
import unicodedata
from typing import Final

SLUG_LENGTH = 40
STAGES: Final = ("dev", "staging", "prod")
_HASH_LENGTH = 8
_SUFFIX = "model"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Letters that Unicode does not decompose into an ASCII letter and a mark.
_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ı": "i", "ŋ": "ng", "ĸ": "k"}
)

# The standard library differs between Python versions; names must not. These came or went between 3.11 and 3.14.
_STDLIB_OF_OTHER_VERSIONS = _words(
    "aifc annotationlib asynchat asyncore audioop cgi cgitb chunk compression crypt distutils ensurepip imghdr imp lib2to3 "
    "mailcap msilib nis nntplib ossaudiodev pipes pydoc_data smtpd sndhdr spwd sunau telnetlib uu xdrlib"
)
_SOFT_KEYWORDS = frozenset({"case", "match", "type"})

# Import names in the environment of a generated repository; a package of that name would hide the real one.
_DISTRIBUTIONS = _words(
    "adbc_driver_duckdb ai_factory ai_factory_infra ai_factory_runtime ai_factory_spec alembic annotated_doc "
    "annotated_types anyio arpeggio arrow ast_serialize astroid attr attrs aws binaryornot boto3 botocore build bump "
    "cachetools catboost certifi cffi cfgv charset_normalizer check_jsonschema click cloudpickle colorama "
    "cookiecutter copier coverage cronsim cryptography cycler cython databricks dateutil debugpy deprecated dill dns docker "
    "dotenv duckdb dunamai evidently execnet fairlearn fastapi fastparquet filelock flask flexcache flexparser flit "
    "fonttools fsspec funcy git gitdb google greenlet grpc gunicorn h11 hatch hatchling httpcore httptools httpx "
    "huggingface_hub hypothesis idna importlib_metadata importlib_resources iniconfig ipykernel ipython ipywidgets "
    "itsdangerous jinja2 jinja2_ansible_filters jmespath joblib jsonschema jsonschema_specifications jupyter "
    "kiwisolver librt lightgbm llvmlite mako markdown_it markupsafe marshmallow matplotlib matplotlib_inline mdurl "
    "mlflow moto msgpack multidict mypy mypy_extensions mypyc narwhals networkx nltk notebook numba numpy onnx "
    "onnxruntime openpyxl opentelemetry orjson packaging pandas pandas_stubs pandera parver pathspec patsy pil pip "
    "pipx pkg_resources platformdirs plotly pluggy plumbum polars prettytable prometheus_client prompt_toolkit proto "
    "psutil pulumi pulumi_aws pulumi_policy py pyarrow pyasn1 pyasn1_modules pycparser pydantic pydantic_core "
    "pydantic_settings pygments pyparsing pyproject_hooks pytest pytz pywin32 questionary referencing regress "
    "requests responses rich rpds ruamel ruff s3fs s3transfer sagemaker scipy seaborn semver setuptools shap "
    "shellingham simplejson six skimage sklearn skops slugify smmap sniffio sortedcontainers sqlalchemy sqlglot "
    "sqlparse starlette statsmodels streamlit tabulate tensorflow text_unidecode textual threadpoolctl tokenizers "
    "tomlkit torch tornado tqdm traitlets transformers treelite trove_classifiers typeguard typer typing_extensions "
    "typing_inspect typing_inspection tzdata tzlocal ujson urllib3 uv uvicorn uvloop virtualenv watchfiles wcwidth "
    "websockets werkzeug wheel wrapt xdist xgboost xmltodict yaml yarl zipp zizmor"
)

# Folders at the root of a generated repository.
_FOLDERS = _words("artifacts build components data dist docs governance infra scripts src test tests venv")

# Commands a shell has, or that a developer or a Makefile types in such a repository.
_COMMANDS = _words(
    "activate alias apt awk aws az base64 bash bg binaryornot black brew bunzip2 bzip2 cargo cat cd cffi-gen-src "
    "check-jsonschema chmod chown clear cmd cmp comm command conda cp cron crontab curl cut cython date dd deactivate "
    "debugpy-adapter df diff dir dirname disown dmypy docker du dunamai echo ed emacs env eval exec exit expand "
    "export expr f2py factor false fc fg file find fish fmt fold free ftp gcc gcloud gh git grep groups gunzip gzip "
    "halt hash head help history host hostname iconv id info init install ipython jobs join jq jupyter kill kubectl "
    "last less let link ln local locale login logout ls lsof mail make mako-render mamba man md5sum mkdir mkfifo "
    "mlflow more mount mv nano nc nice nl node nohup normalizer npm npx numpy-config open openssl "
    "opentelemetry-bootstrap opentelemetry-instrument paste patch perl ping pip pip3 pipx popd pr printf ps push "
    "pushd pwd py pygmentize pyproject-build pysemver pytest python python3 r read reboot reset return rg rm rmdir "
    "rsync ruby ruff run scp screen sed select seq service set sftp sh sha256sum shift shred shutdown sleep slugify "
    "sort source split sqlformat ssh stat strings stty stubgen stubtest su sudo sum suspend swap sync tac tail tar "
    "tee telnet terraform test time timeout times tmux top touch tr trap trove-classifiers true tsort tty type ulimit "
    "umask unalias uname unexpand uniq unlink unset unzip uptime users uv uvicorn uvx vi view vim w wait watch wc "
    "wget which who whoami xargs yes zip zsh"
)


def slug(name: str) -> str:
    """ASCII, lower case, words joined by hyphens, starting with a letter, at most 40 characters: fit for a folder or a cloud resource.

    Where the text had to be cut, or nothing of it is ASCII, eight characters of its SHA-256 keep the slug its own.
    `slug(slug(name)) == slug(name)`.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold().translate(_LETTERS))
    letters = "".join(c for c in folded if not unicodedata.combining(c))
    words = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")
    if not words:
        return f"{_SUFFIX}-{_hash(name)}"
    if not words[0].isalpha():
        words = f"{_SUFFIX}-{words}"
    if len(words) <= SLUG_LENGTH:
        return words
    return f"{words[: SLUG_LENGTH - _HASH_LENGTH - 1].rstrip('-')}-{_hash(name)}"


def stage_inside(slug: str) -> str:
    """The stage that a slug names after its first word; empty where it names none.

    All that `churn` has in dev is called `churn-dev-…`, and who may reach that may reach `churn-dev`, too, were there such a
    project in the same account: in every stage of it.
    """
    return next((word for word in slug.split("-")[1:] if word in STAGES), "")


def package_name(name: str) -> str:
    """A Python package's name for a slug (or any name): an identifier that hides no keyword, module, package or folder."""
    identifier = slug(name).replace("-", "_")
    return f"{identifier}_{_SUFFIX}" if identifier in RESERVED_PACKAGES else identifier


def command_name(name: str) -> str:
    """The project command's name for a slug (or any name): never a command that people or Makefiles type already."""
    command = slug(name)
    taken = (
        command in _COMMANDS or command.replace("-", "_") in _DISTRIBUTIONS or command in ("ai-factory", "cookiecutter")
    )
    return f"{command}-{_SUFFIX}" if taken else command


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]


# Names of devices on Windows, where no folder can have them.
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})

RESERVED_PACKAGES: frozenset[str] = (
    frozenset(sys.stdlib_module_names)
    | _STDLIB_OF_OTHER_VERSIONS
    | frozenset(keyword.kwlist)
    | _SOFT_KEYWORDS
    | _DISTRIBUTIONS
    | _FOLDERS
    | _DEVICES
)
