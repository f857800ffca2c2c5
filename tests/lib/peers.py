"""Doors through which other programs write into upload/: an FTP server and an SSH server on loopback."""
import getpass
import os

from processes import Process, find_program, free_port, run


class Ftp:
    """Debian's vsftpd without chroot, as the user that runs the tests; anonymous may write and make directories in `root_dir`."""

    def __init__(self, directory, root_dir):
        os.makedirs(directory, exist_ok=True)
        self.port, low = free_port(), free_port()
        empty, conf = os.path.join(directory, "empty"), os.path.join(directory, "vsftpd.conf")
        os.makedirs(empty, exist_ok=True)
        with open(conf, "w") as f:
            f.write(f"""listen=YES
listen_address=127.0.0.1
listen_port={self.port}
background=NO
anonymous_enable=YES
local_enable=NO
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_umask=022
no_anon_password=YES
ftp_username={getpass.getuser()}
anon_root={root_dir}
run_as_launching_user=YES
connect_from_port_20=NO
secure_chroot_dir={empty}
pasv_min_port={low}
pasv_max_port={low + 20}
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
xferlog_enable=NO
""")
        os.chmod(conf, 0o600)
        self.process = Process([find_program("vsftpd"), conf], os.path.join(directory, "log"))
        self.process.wait_listening(self.port)

    def put(self, local, remote, *options):
        """Sends one file as a camera would: make directories, STOR."""
        run(["curl", "-sS", "--ftp-create-dirs", *options, "-T", local, f"ftp://127.0.0.1:{self.port}/{remote}"])

    def stop(self):
        self.process.stop()


class Ssh:
    """OpenSSH with throw-away keys, for scp as the user that runs the tests."""

    def __init__(self, directory):
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self.port, self.key = free_port(), os.path.join(directory, "key")
        host_key, conf = os.path.join(directory, "host_key"), os.path.join(directory, "sshd_config")
        for name in (self.key, host_key):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name])
        sftp = next(p for p in ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server")
                    if os.path.exists(p))
        with open(conf, "w") as f:
            f.write(f"""ListenAddress 127.0.0.1:{self.port}
HostKey {host_key}
PidFile none
AuthorizedKeysFile {self.key}.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp {sftp}
""")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        self.process = Process([find_program("sshd"), "-D", "-e", "-f", conf], os.path.join(directory, "log"))
        self.process.wait_listening(self.port)

    def scp(self, *args):
        options = ["-q", "-F", "none", "-i", self.key, "-P", str(self.port), "-o", "BatchMode=yes",
                   "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        run(["scp", *options, *args])

    def url(self, path):
        return f"{getpass.getuser()}@127.0.0.1:{path}"

    def stop(self):
        self.process.stop()
