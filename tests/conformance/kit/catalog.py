"""Every image of the kit, by reference, in groups.

  critest  what cri-tools' critest pulls (shared/design/conformance.md)
  extra    what our own integration tests pull, under registry.k8s.io/
           pinion-test/
  hostile  images that try to leave their rootfs, same place
  big      8 layers, 254 MB in gzip: the pull benchmark's; only on request
"""

import functools

from kit import extra
from kit.image import Image, Layer
from kit.rootfs import busybox, program
from kit.tree import directory, file

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
E2E = "registry.k8s.io/e2e-test-images/"
STAGING = "gcr.io/k8s-staging-cri-tools/"


@functools.cache
def base_layer():
    return Layer(busybox())


def busybox_image(settings=None, more=(), **options):
    """The busybox layer, then a layer of `more` entries if there are any."""
    layers = [base_layer()] + ([Layer(list(more))] if more else [])
    return Image(layers, {"Env": [PATH], "Cmd": ["sh"], **(settings or {})},
                 **options)


def pause_image():
    return Image([Layer([file("pause", program("pause"), 0o755)])],
                 {"Env": [PATH], "Entrypoint": ["/pause"], "User": "65535",
                  "WorkingDir": "/"})


def server_image(name, port, arguments, **settings):
    return busybox_image(
        {"Cmd": [f"/usr/sbin/{name}", str(port), *arguments],
         "ExposedPorts": {f"{port}/tcp": {}}, **settings},
        [file(f"usr/sbin/{name}", program("webserver"), 0o755)])


def numbered_image(name):
    return busybox_image(more=[file(name, f"{name}\n")])


def predefined_group_image():
    layer = Layer(busybox(
        "default-user:x:1000:1000:default-user:/home/default-user:/bin/sh\n",
        "default-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n"))
    return Image([layer], {"Env": [PATH], "Cmd": ["sh"], "User": "1000"})


def critest():
    nginx = ("nginx: master process nginx -g daemon off;",
             "/var/run/nginx.pid")
    pause = pause_image()
    images = {
        E2E + "busybox:1.29-2": busybox_image(),
        E2E + "nginx:1.14-2":
            server_image("nginx", 80, nginx, StopSignal="SIGTERM"),
        E2E + "httpd:2.4.39-4":
            server_image("httpd", 80, ("httpd -DFOREGROUND",),
                         StopSignal="SIGWINCH"),
        E2E + "nonewprivs:1.3": busybox_image(
            {"Entrypoint": ["/nonewprivs"], "Cmd": None},
            [file("nonewprivs", program("nonewprivs"), 0o4755)]),
        "registry.k8s.io/pause:3.9": pause,
        "registry.k8s.io/pause:3.10": pause,
        "k8s.gcr.io/pause:3.9": pause,
        STAGING + "test-image-predefined-group:latest":
            predefined_group_image(),
        STAGING + "hostnet-nginx-amd64:latest":
            server_image("nginx", 12003, nginx),
        STAGING + "test-image-latest:latest":
            numbered_image("test-image-latest"),
    }
    for tag in ("test", "all"):
        images[STAGING + f"test-image-tag:{tag}"] = numbered_image(
            "test-image-tag")
    same = numbered_image("test-image-tags")
    for number in "123":
        images[STAGING + f"test-image-{number}:latest"] = numbered_image(
            f"test-image-{number}")
        images[STAGING + f"test-image-tags:{number}"] = same
    for name, user in (("uid", "1002"), ("username", "www-data"),
                       ("uid-group", "1003:1004"),
                       ("username-group", "www-data:1004")):
        images[STAGING + f"test-image-user-{name}:latest"] = busybox_image(
            {"User": user}, [directory(f"{name}-image")])
    return images


GROUPS = {
    "critest": critest,
    "extra": lambda: extra.extra(busybox_image),
    "hostile": lambda: extra.hostile(busybox_image),
    "big": extra.big,
}
DEFAULT_GROUPS = ("critest", "extra", "hostile")


def split(reference):
    """REGISTRY/REPOSITORY:TAG as (repository, tag)."""
    repository, _, tag = reference.partition("/")[2].rpartition(":")
    return repository, tag
