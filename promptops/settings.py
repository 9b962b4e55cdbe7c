"""Every setting of the installation, read from the environment once and typed here.

Without DATABASE_URL the installation is *embedded*: it brings its own PostgreSQL (and, without VALKEY_URL, its own
Valkey), and its secrets are made once in DATA_DIR. With DATABASE_URL it is *production*: secrets come from the
environment, and a weak one stops the start (see `promptops.checks`).
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _
from kombu import Queue

from promptops.core.installation import Installation

BASE_DIR = Path(__file__).resolve().parent.parent


def env_str(name: str, default: str = "") -> str:
    """An empty variable counts as an absent one: compose files pass `NAME=` for what is not set."""
    return os.environ.get(name, "").strip() or default


def env_bool(name: str, default: bool = False) -> bool:
    value = env_str(name).lower()
    if value in ("", "1", "true", "yes", "on", "0", "false", "no", "off"):
        return value in ("1", "true", "yes", "on") if value else default
    raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}.")


def env_int(name: str, default: int) -> int:
    value = env_str(name)
    try:
        return int(value) if value else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None


def env_list(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in env_str(name, default).split(",") if item.strip()]


def database_from_url(name: str) -> dict[str, Any]:
    """`postgresql://user:password@host:5432/name?sslmode=require` as Django's dictionary."""
    url = urlsplit(env_str(name))
    if url.scheme not in ("postgresql", "postgres") or len(url.path) < 2:
        raise ImproperlyConfigured(f"{name} must look like postgresql://user:password@host:5432/database.")
    query = dict(parse_qsl(url.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(url.path[1:]),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": query.pop("host", "") or unquote(url.hostname or ""),
        "PORT": str(url.port or ""),
        "OPTIONS": query,
    }


# --- Where things are ----------------------------------------------------------------------------------------------

DEBUG = env_bool("DEBUG")
DATA_DIR = Installation.at(env_str("DATA_DIR", str(BASE_DIR / "var"))).data_dir
LOCAL_MODELS_DIR = Path(env_str("LOCAL_MODELS_DIR", str(DATA_DIR / "models")))  # one folder a model
INSTALLATION = Installation(DATA_DIR)
EMBEDDED_DATABASE = not env_str("DATABASE_URL")
EMBEDDED_VALKEY = not env_str("VALKEY_URL")
PRODUCTION = not EMBEDDED_DATABASE
PUBLIC_URL = env_str("PUBLIC_URL", f"http://127.0.0.1:{env_int('PORT', 8000)}").rstrip("/")
_public = urlsplit(PUBLIC_URL)
if _public.scheme not in ("http", "https") or not _public.hostname:
    raise ImproperlyConfigured("PUBLIC_URL must be the address that people type, such as https://prompts.example.com.")
_https = _public.scheme == "https"

# --- Secrets -------------------------------------------------------------------------------------------------------

SECRET_KEY = env_str("SECRET_KEY")
ENCRYPTION_KEYS = env_list("ENCRYPTION_KEY")  # Fernet keys, the newest first: the first encrypts, all decrypt
if EMBEDDED_DATABASE:
    _secrets = INSTALLATION.load_secrets()
    SECRET_KEY = SECRET_KEY or _secrets.secret_key
    ENCRYPTION_KEYS = ENCRYPTION_KEYS or [_secrets.encryption_key]

# --- Database ------------------------------------------------------------------------------------------------------
# Two roles: `owner` migrates and erases, `default` (DML only) does everything else. A table's owner could switch its
# triggers off, so the application is not one.

if EMBEDDED_DATABASE:
    _embedded = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": env_str("DATABASE_NAME", "promptops"),
        "HOST": str(INSTALLATION.postgres_sockets),
        "PORT": "5432",
    }
    DATABASES: dict[str, dict[str, Any]] = {
        "default": {**_embedded, "USER": "promptops_app", "PASSWORD": _secrets.database_app_password},
        "owner": {**_embedded, "USER": "promptops_owner", "PASSWORD": _secrets.database_owner_password},
    }
else:
    DATABASES = {"default": database_from_url("DATABASE_URL")}
    if env_str("OWNER_DATABASE_URL"):  # only where migrations run
        DATABASES["owner"] = database_from_url("OWNER_DATABASE_URL")

DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"].setdefault("OPTIONS", {})
if env_bool("DATABASE_POOL", True):
    # One pool a process. Each of the WEB_THREADS may hold a connection (after a request that was cut off: until the
    # next one), and so may the threads that watch runs and changes.
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 1,
        "max_size": env_int("DATABASE_POOL_SIZE", 24),
        "timeout": 5,
        "max_idle": 120,
        # After this many seconds an attempt is given up, and the next request makes a fresh one. Else attempts wait
        # longer and longer, and the pool would stay empty for a while after the database is back.
        "reconnect_timeout": 2,
    }
DATABASE_ROUTERS = ["promptops.routers.OwnerMigrates"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Valkey and Celery ---------------------------------------------------------------------------------------------

VALKEY_URL = env_str("VALKEY_URL", f"unix://{INSTALLATION.valkey_socket}?db=0")


def broker_url(valkey_url: str) -> str:
    """The same server in Kombu's spelling: a Unix socket is `redis+socket://`, its database a virtual host."""
    url = urlsplit(valkey_url)
    if url.scheme == "unix":
        query = dict(parse_qsl(url.query))
        password = f":{quote(unquote(url.password), safe='')}@" if url.password else ""
        return f"redis+socket://{password}{url.path}?virtual_host={query.get('db', '0')}"
    return valkey_url.replace("valkey://", "redis://", 1).replace("valkeys://", "rediss://", 1)


CELERY_BROKER_URL = broker_url(VALKEY_URL)
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_QUEUES = [Queue("api"), Queue("local"), Queue("default")]
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_CREATE_MISSING_QUEUES = False  # a misspelt queue is an error, not a queue that nobody reads
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0.05, "interval_step": 0.2, "interval_max": 0.5}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False  # the lease in the database decides, not the broker
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # A request that rings the bell waits for a lost broker this long (seconds), not for ever.
    "socket_connect_timeout": 2,
    "socket_timeout": 10,
    "health_check_interval": 25,
    "retry_on_timeout": True,
}
CELERY_TIMEZONE = "UTC"
RECONCILE_SECONDS = env_int("RECONCILE_SECONDS", 5)
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    # With an emptied Valkey, or a worker that died with a message in hand, a run waits this long at most. Messages
    # that nobody took in time are dropped: the next one does the same.
    "reconcile": {
        "task": "promptops.runs.tasks.reconcile",
        "schedule": RECONCILE_SECONDS,
        "options": {"queue": "default", "expires": RECONCILE_SECONDS},
    },
    "tidy": {
        "task": "promptops.runs.tasks.tidy",
        "schedule": 24 * 3600,
        "options": {"queue": "default", "expires": 3600},
    },
    # What a bell that was not heard leaves lying, and what is tried again, waits this long at most.
    "deliver": {
        "task": "promptops.notifications.tasks.deliver",
        "schedule": 15,
        "options": {"queue": "default", "expires": 15},
    },
    "forget": {
        "task": "promptops.notifications.tasks.forget",
        "schedule": 24 * 3600,
        "options": {"queue": "default", "expires": 3600},
    },
}

# --- Running prompts -----------------------------------------------------------------------------------------------

RUN_LEASE_SECONDS = env_int("RUN_LEASE_SECONDS", 30)
RUN_MAX_CLAIMS = env_int("RUN_MAX_CLAIMS", 3)
RUN_SLOTS = env_int("RUN_SLOTS", 64)  # runs in flight in one child of the `api` worker
RUN_CALL_SECONDS = env_int("RUN_CALL_SECONDS", 300)  # a provider's call may take this long
# Hosts, host:port or networks (CIDR) that a provider's base_url may reach although they are private or link-local.
ALLOWED_PROVIDER_HOSTS = env_list("ALLOWED_PROVIDER_HOSTS")
# What every new project begins with: services of the upper apps, called with the project in its transaction.
NEW_PROJECT_STEPS = ["promptops.catalog.services.ensure_local_endpoint"]
ALLOW_SCRIPTED_PROVIDER = env_bool("ALLOW_SCRIPTED_PROVIDER")  # the deterministic engine of the tests

# What the audit page calls the objects of the upper apps: a function of (project, ids) → {id: (name, page)} each.
AUDIT_NAMES = {
    "prompt": "promptops.prompts.audit_names.prompts",
    "endpoint": "promptops.catalog.audit_names.endpoints",
    "credential": "promptops.catalog.audit_names.credentials",
    "batch": "promptops.runs.audit_names.batches",
    "change": "promptops.reviews.audit_names.changes",
    "label_policy": "promptops.reviews.audit_names.policies",
    "code_owners": "promptops.reviews.audit_names.owners",
    "webhook": "promptops.notifications.audit_names.webhooks",
}
# Whether a project has one yet, for its first steps: a function of (project) → queryset each.
PROJECT_HAS = {
    "prompt": "promptops.prompts.querysets.prompts_of",
    "label": "promptops.prompts.querysets.moves_in",
    "run": "promptops.runs.querysets.runs_of",
}

# What there is to tell people and webhooks: modules with `KINDS` and `EVENTS` (promptops.notifications.kinds).
NOTICES = [
    "promptops.prompts.notices",
    "promptops.runs.notices",
    "promptops.reviews.notices",
    "promptops.notifications.notices",
]

# --- Applications --------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "promptops",
    "promptops.core",
    "promptops.audit",
    "promptops.accounts",
    "promptops.notifications",
    "promptops.catalog",
    "promptops.prompts",
    "promptops.runs",
    "promptops.reviews",
    "template_partials",
    "django_htmx",
    "csp",
    "ninja",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
]
INSTALLED_APPS = [
    a for a in INSTALLED_APPS if not a.startswith("promptops.") or (BASE_DIR / a.replace(".", "/") / "apps.py").exists()
]
AUTH_USER_MODEL = "accounts.User"
MIDDLEWARE = [
    "promptops.rest.RestMiddleware",  # first: whatever goes wrong below /api is answered as problem JSON
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "promptops.accounts.language.LanguageMiddleware",
    "promptops.core.middleware.AppErrorMiddleware",
]
ROOT_URLCONF = "promptops.urls"
WSGI_APPLICATION = "promptops.wsgi.application"
ASGI_APPLICATION = "promptops.asgi.application"
WEB_THREADS = env_int("WEB_THREADS", 10)
# Answers of `resolve` that each web process remembers (docs/hot-path.md), and for how long it gives them while the
# database cannot be asked whether they are still right (0: not at all).
RESOLVE_CACHE_BYTES = env_int("RESOLVE_CACHE_MB", 64) * 1024 * 1024
RESOLVE_STALE_SECONDS = env_int("RESOLVE_STALE_SECONDS", 60)
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "promptops.shell.context",
            ],
        },
    },
]

# --- People --------------------------------------------------------------------------------------------------------

PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "accounts:sign-in"
LOGIN_REDIRECT_URL = "/"
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = 14 * 24 * 3600

# --- E-mail --------------------------------------------------------------------------------------------------------


def email_from_url(name: str) -> dict[str, Any]:
    """`smtp://user:password@host:587?tls=starttls` or `smtps://…@host:465` as Django's settings; without it, none."""
    if not env_str(name):
        return {"EMAIL_ENABLED": False, "EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}
    url = urlsplit(env_str(name))
    tls = dict(parse_qsl(url.query)).get("tls", "")
    if url.scheme not in ("smtp", "smtps") or not url.hostname or tls not in ("", "none", "starttls"):
        raise ImproperlyConfigured(
            f"{name} must look like smtp://user:password@host:587?tls=starttls or smtps://user:password@host:465."
        )
    implicit = url.scheme == "smtps"
    return {
        "EMAIL_ENABLED": True,
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": url.hostname,
        "EMAIL_PORT": url.port or (465 if implicit else 587 if tls == "starttls" else 25),
        "EMAIL_HOST_USER": unquote(url.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(url.password or ""),
        "EMAIL_USE_SSL": implicit,
        "EMAIL_USE_TLS": tls == "starttls",
    }


_email = email_from_url("EMAIL_URL")
EMAIL_ENABLED: bool = _email["EMAIL_ENABLED"]
EMAIL_BACKEND: str = _email["EMAIL_BACKEND"]
EMAIL_HOST: str = _email.get("EMAIL_HOST", "")
EMAIL_PORT: int = _email.get("EMAIL_PORT", 25)
EMAIL_HOST_USER: str = _email.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD: str = _email.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_SSL: bool = _email.get("EMAIL_USE_SSL", False)
EMAIL_USE_TLS: bool = _email.get("EMAIL_USE_TLS", False)
EMAIL_TIMEOUT = 15  # seconds
DEFAULT_FROM_EMAIL = env_str("EMAIL_FROM", f"PromptOps <promptops@{_public.hostname}>")

# --- Webhooks ------------------------------------------------------------------------------------------------------

# A webhook that has failed for so long is switched off, and the project's admins are told.
WEBHOOK_DISABLE_DAYS = env_int("WEBHOOK_DISABLE_DAYS", 3)

# --- Language and time ---------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LOCALE_PATHS = [BASE_DIR / "promptops" / "locale"]
# Only languages that have a catalogue: half a translation (Django's own texts alone) would be worse than none.
LANGUAGES = [
    (code, name)
    for code, locale, name in (("en", "en", _("English")), ("zh-hans", "zh_Hans", _("Simplified Chinese")))
    if code == LANGUAGE_CODE or (LOCALE_PATHS[0] / locale / "LC_MESSAGES" / "django.mo").exists()
]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# --- Static files --------------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = Path(env_str("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
# What npm built, and images; the sources beside them are not for browsers.
STATICFILES_DIRS = [("dist", BASE_DIR / "static" / "dist"), ("img", BASE_DIR / "static" / "img")]
STATIC_MANIFEST = env_bool("STATIC_MANIFEST", not DEBUG)  # hashed names, served for a year; needs collectstatic
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_MANIFEST
        else "django.contrib.staticfiles.storage.StaticFilesStorage",
    },
}
WHITENOISE_USE_FINDERS = not STATIC_MANIFEST
WHITENOISE_AUTOREFRESH = DEBUG
MEDIA_ROOT = DATA_DIR / "media"

# --- Security ------------------------------------------------------------------------------------------------------

# Health checks of containers and of the supervisor speak to the loopback name.
ALLOWED_HOSTS = sorted({*env_list("ALLOWED_HOSTS"), _public.hostname, "localhost", "127.0.0.1", "[::1]"})
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if _https else []
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = _https and env_bool("SECURE_SSL_REDIRECT", True)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = env_int("SECURE_HSTS_SECONDS", 31_536_000) if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if env_bool("BEHIND_TLS_PROXY"):  # only behind a proxy that sets this header itself: anybody else could forge it
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# How many proxies of ours append to X-Forwarded-For: the caller's address is that many from its end.
PROXY_HOPS = env_int("PROXY_HOPS", 1 if env_bool("BEHIND_TLS_PROXY") else 0)
CSRF_FAILURE_VIEW = "promptops.core.error_pages.csrf_failure"
# On plain HTTP (the embedded installation on the loopback address) these four cannot be had.
SILENCED_SYSTEM_CHECKS = [] if _https else ["security.W004", "security.W008", "security.W012", "security.W016"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 20 * 1024 * 1024

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],  # the nonce is for CodeMirror, which makes its own style element
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    },
}

# --- Logging -------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {"redact": {"()": "promptops.core.redaction.RedactSecrets"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["redact"]}},
    "root": {"handlers": ["stderr"], "level": env_str("LOG_LEVEL", "INFO").upper()},
    "loggers": {
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "httpx": {"level": "WARNING"},  # its INFO lines carry whole URLs
        "httpx2": {"level": "WARNING"},
        # Three lines for every bell, and as many every five seconds for the beat's.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
    },
}
