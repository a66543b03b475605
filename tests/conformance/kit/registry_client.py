"""Pushes images into a registry that speaks the distribution API on loopback."""

import http.client
import urllib.parse

from kit import image as images


class RegistryError(Exception):
    pass


class RegistryClient:
    """One keep-alive connection; use from one thread."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self._connection = http.client.HTTPConnection(host, int(port),
                                                      timeout=120)
        self._known = set()

    def call(self, method, path, body=None, headers=None, expect=(200,)):
        self._connection.request(method, path, body, headers or {})
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status not in expect:
            raise RegistryError(
                f"{method} {path}: {answer.status} {data[:200]!r}")
        return answer, data

    def push(self, repository, tag, image):
        """Pushes an Image or Index; what is already there is not sent."""
        for blob in image.blobs():
            self._push_blob(repository, blob)
        manifests = image.manifests()
        for position, (media_type, data) in enumerate(manifests, 1):
            name = tag if position == len(manifests) else images.digest(data)
            self.call("PUT", f"/v2/{repository}/manifests/{name}", data,
                      {"Content-Type": media_type}, expect=(201,))

    def _push_blob(self, repository, blob):
        digest = images.digest(blob)
        if (repository, digest) in self._known:
            return
        answer, _ = self.call(
            "HEAD", f"/v2/{repository}/blobs/{digest}", expect=(200, 404))
        if answer.status == 404:
            # Blobs are shared: mount it from where it went first.
            origin = next((r for r, d in self._known if d == digest), None)
            query = (f"?mount={digest}&from={urllib.parse.quote(origin)}"
                     if origin else "")
            answer, _ = self.call("POST",
                                  f"/v2/{repository}/blobs/uploads/{query}",
                                  b"", expect=(201, 202))
            if answer.status == 202:
                place = urllib.parse.urlsplit(answer.getheader("Location"))
                query = place.query + "&" if place.query else ""
                self.call("PUT", f"{place.path}?{query}digest={digest}", blob,
                          {"Content-Type": "application/octet-stream"},
                          expect=(201,))
        self._known.add((repository, digest))

    def tags(self):
        """Every repository:tag and the digest of its manifest, sorted."""
        every = ", ".join(MANIFEST_TYPES)
        found = []
        _, data = self.call("GET", "/v2/_catalog?n=1000")
        for repository in json_list(data, "repositories"):
            _, data = self.call("GET", f"/v2/{repository}/tags/list")
            for tag in json_list(data, "tags"):
                answer, _ = self.call(
                    "HEAD", f"/v2/{repository}/manifests/{tag}",
                    headers={"Accept": every})
                found.append((f"{repository}:{tag}",
                              answer.getheader("Docker-Content-Digest")))
        return sorted(found)


MANIFEST_TYPES = [types[kind] for types in images.MEDIA_TYPES.values()
                  for kind in ("manifest", "index")]


def json_list(data, key):
    return images.json.loads(data)[key] or []
