"""Docker images pinned to what their tag means now: ``{{docker.image[name][tag]}}``, asked of a registry.

Config-schema sheet, section 8; client-internals sheet, section 7.1. The HTTP library brings netrc credentials, proxies
and certificates from the environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import requests

from aurorad.jobfile.errors import ConfigError
from client.transport import direct_if_local, reason

DEFAULT_REGISTRY = "https://registry-1.docker.io"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_TIMEOUT_S = 30.0
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_DIGEST = re.compile(r"[a-z0-9+._-]+:[0-9a-fA-F]{32,}")


class Registry:
    """One registry that speaks version 2 of its protocol."""

    def __init__(self, url: str = DEFAULT_REGISTRY) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._is_v2 = False

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def resolve(self, name: str, tag: str) -> str:
        """``name@digest``, with the registry's host before it unless it is Docker's own. Raises `ConfigError`."""
        self._require_v2()
        answer = self._head(f"/v2/{self._repository(name)}/manifests/{tag}", {"Accept": _MANIFEST})
        if answer.status_code in (401, 403):
            raise ConfigError(f"Private Docker repository - {name}:{tag}")
        digest = answer.headers.get("Docker-Content-Digest", "")
        if answer.status_code != 200 or not _DIGEST.fullmatch(digest):
            raise ConfigError(f"Unable to resolve image {name}:{tag} ({self._url} answers {_status(answer)})")
        return f"{name}@{digest}" if self._is_docker_hub else f"{urlsplit(self._url).netloc}/{name}@{digest}"

    @property
    def _is_docker_hub(self) -> bool:
        return self._url == DEFAULT_REGISTRY

    def _repository(self, name: str) -> str:
        """Docker's own registry keeps images without a user under `library`."""
        return f"library/{name}" if self._is_docker_hub and "/" not in name else name

    def _require_v2(self) -> None:
        if not self._is_v2:
            answer = self._head("/v2/", {})
            if answer.status_code != 200:
                raise ConfigError(f"{self._url} is not a registry v2 (it answers {_status(answer)})")
            self._is_v2 = True

    def _head(self, path: str, headers: Mapping[str, str]) -> requests.Response:
        """Asks again with a token when the registry wants one."""
        url = self._url + path
        answer = self._request("HEAD", url, headers)
        if answer.status_code != 401:
            return answer
        return self._request("HEAD", url, {**headers, "Authorization": f"Bearer {self._token(answer)}"})

    def _token(self, refusal: requests.Response) -> str:
        challenge = refusal.headers.get("Www-Authenticate")
        if challenge is None:
            raise ConfigError(f"No auth challenge. Www-Authenticate header not returned. ({refusal.url})")
        kind = challenge.partition(" ")[0]
        if kind == "Basic":
            raise ConfigError(f"Basic authorization not supported: {challenge}")
        parameters = dict(_PARAMETER.findall(challenge))
        realm = parameters.pop("realm", None)
        parameters.pop("error", None)
        if kind != "Bearer" or realm is None:
            raise ConfigError(f"Unknown auth challenge: {challenge}")
        answer = self._request("GET", realm, {}, parameters)
        try:
            body = answer.json()
            token = body.get("token") or body["access_token"]
        except (ValueError, KeyError, AttributeError):
            raise ConfigError(f"Failed to get auth token. ({realm} answers {_status(answer)})") from None
        return str(token)

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], parameters: Mapping[str, str] | None = None
    ) -> requests.Response:
        try:
            return self._session.request(
                method,
                url,
                headers=headers,
                params=parameters,
                proxies=direct_if_local(url),
                timeout=_TIMEOUT_S,
                allow_redirects=True,
            )
        except requests.RequestException as error:
            raise ConfigError(f"Cannot reach the Docker registry {url}: {reason(error)}") from error


def _status(answer: requests.Response) -> str:
    return f"{answer.status_code} {answer.reason}"
