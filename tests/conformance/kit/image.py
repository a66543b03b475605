"""Layers, images and indexes in memory, in OCI's and in Docker's form."""

import gzip
import hashlib
import json
import subprocess

from kit import tree

MEDIA_TYPES = {
    "oci": {
        "config": "application/vnd.oci.image.config.v1+json",
        "manifest": "application/vnd.oci.image.manifest.v1+json",
        "index": "application/vnd.oci.image.index.v1+json",
        "none": "application/vnd.oci.image.layer.v1.tar",
        "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
        "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    },
    "docker": {
        "config": "application/vnd.docker.container.image.v1+json",
        "manifest": "application/vnd.docker.distribution.manifest.v2+json",
        "index":
            "application/vnd.docker.distribution.manifest.list.v2+json",
        "none": "application/vnd.docker.image.rootfs.diff.tar",
        "gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
    },
}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def to_json(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def compress(data, how):
    if how == "gzip":
        return gzip.compress(data, 6, mtime=0)
    if how == "zstd":
        return subprocess.run(["zstd", "-q", "-c", "-3"], input=data,
                              stdout=subprocess.PIPE, check=True).stdout
    return data


class Layer:
    """One layer. `compression` is none, gzip or zstd."""

    def __init__(self, entries, compression="gzip"):
        self.entries = entries
        self.compression = compression
        data = tree.tar(entries)
        self.diff_id = digest(data)
        self.blob = compress(data, compression)
        self.digest = digest(self.blob)


class Image:
    """An image for one platform. `settings` is the config's `config` part."""

    def __init__(self, layers, settings=None, flavour="oci",
                 architecture="amd64", system="linux", variant=None):
        self.layers = layers
        self.flavour = flavour
        self.platform = {"architecture": architecture, "os": system}
        if variant:
            self.platform["variant"] = variant
        self.config = to_json({
            **self.platform,
            "created": "2001-09-09T01:46:40Z",
            "config": settings or {},
            "rootfs": {"type": "layers",
                       "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{"created": "2001-09-09T01:46:40Z",
                         "created_by": "pinion's registry kit"}
                        for _ in layers],
        })
        types = MEDIA_TYPES[flavour]
        self.media_type = types["manifest"]
        self.manifest = to_json({
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": descriptor(types["config"], self.config),
            "layers": [descriptor(types[layer.compression], layer.blob)
                       for layer in layers],
        })

    def blobs(self):
        return [layer.blob for layer in self.layers] + [self.config]

    def manifests(self):
        """(media type, bytes), the top one last."""
        return [(self.media_type, self.manifest)]

    def listing(self):
        return tree.listing([layer.entries for layer in self.layers])


class Index:
    """A manifest list over images of several platforms."""

    def __init__(self, images, flavour="oci"):
        self.images = images
        self.media_type = MEDIA_TYPES[flavour]["index"]
        self.manifest = to_json({
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "manifests": [{**descriptor(image.media_type, image.manifest),
                           "platform": image.platform} for image in images],
        })

    def blobs(self):
        return [blob for image in self.images for blob in image.blobs()]

    def manifests(self):
        return [(image.media_type, image.manifest) for image in self.images
                ] + [(self.media_type, self.manifest)]

    def listing(self):
        """The one of linux/amd64, which is where the tests run."""
        for image in self.images:
            if image.platform == {"architecture": "amd64", "os": "linux"}:
                return image.listing()
        raise LookupError("no linux/amd64 image in the index")


def descriptor(media_type, data):
    return {"mediaType": media_type, "size": len(data), "digest": digest(data)}
