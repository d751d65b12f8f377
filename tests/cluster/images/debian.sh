# An everyday image: Debian with bash and python3.
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends python3-minimal procps >/dev/null
