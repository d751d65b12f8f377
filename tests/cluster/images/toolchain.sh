# Not an image: the compilers that the other recipes use.
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends gcc libc6-dev make musl musl-dev musl-tools busybox-static dpkg-dev >/dev/null
