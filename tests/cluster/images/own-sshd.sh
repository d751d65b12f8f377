# An image that is reached by ssh already: its sshd and host keys, and what people use over ssh: git, Python for Ansible,
# full-screen programs.
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends openssh-server git python3 tmux vim-tiny htop >/dev/null
mkdir -p /run/sshd
sed -i 's/^#PermitRootLogin.*/PermitRootLogin yes/; s/^#PermitEmptyPasswords.*/PermitEmptyPasswords yes/; s/^UsePAM yes/UsePAM no/' /etc/ssh/sshd_config
passwd -d root >/dev/null
