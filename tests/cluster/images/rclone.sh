# A stand-in for docker.io/rclone/rclone: Debian's rclone, with what it needs to mount.
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends rclone fuse3 ca-certificates >/dev/null
