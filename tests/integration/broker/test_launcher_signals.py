"""A pod's TERM in the moment that a shell is about to block: the launcher hears it all the same.

That moment lasts microseconds, so it is made: a small preloaded library sends the signal right
before the system call. What a launcher that does not hear it costs is the pod's whole grace period.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import ranvier_broker

LAUNCHER = Path(ranvier_broker.__file__).with_name("launcher.sh")
END_SECONDS_MAX = 5.0
SIGNALS_JUST_BEFORE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t first;  /* the container's first process: the kubelet's signals go there */
static int is_sent;

__attribute__((constructor)) static void begin(void) {
  char digits[16];
  snprintf(digits, sizeof digits, "%d", (int)getpid());
  setenv("FIRST_PROCESS", digits, 0);
  first = atoi(getenv("FIRST_PROCESS"));
}

static void about_to(const char *call) {
  if (is_sent || strcmp(call, getenv("SIGNAL_BEFORE"))) return;
  is_sent = 1;
  kill(first, SIGTERM);
}

static int is_pipe(int fd) {
  struct stat found;
  return fstat(fd, &found) == 0 && S_ISFIFO(found.st_mode);
}

ssize_t read(int fd, void *to, size_t size) {
  if (fd == 0 && is_pipe(fd)) about_to("read");
  return ((ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT, "read"))(fd, to, size);
}

int poll(struct pollfd *fds, nfds_t count, int timeout) {  /* busybox: before it reads */
  if (count == 1 && fds->fd == 0) about_to("read");
  return ((int (*)(struct pollfd *, nfds_t, int))dlsym(RTLD_NEXT, "poll"))(fds, count, timeout);
}

int sigsuspend(const sigset_t *mask) {  /* dash and busybox wait so */
  if (getpid() == first) about_to("wait");
  return ((int (*)(const sigset_t *))dlsym(RTLD_NEXT, "sigsuspend"))(mask);
}

pid_t waitpid(pid_t pid, int *status, int options) {  /* and bash so */
  if (getpid() == first && !(options & WNOHANG)) about_to("wait");
  return ((pid_t (*)(pid_t, int *, int))dlsym(RTLD_NEXT, "waitpid"))(pid, status, options);
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here to build what sends the signal")
    built = tmp_path_factory.mktemp("preloaded") / "signals.so"
    command = [compiler, "-shared", "-fPIC", "-x", "c", "-o", str(built), "-", "-ldl"]
    subprocess.run(command, input=SIGNALS_JUST_BEFORE, text=True, check=True)
    return built


@pytest.fixture
def pipes(tmp_path: Path) -> Iterator[Path]:
    """As a broker makes them, and holds them open."""
    held = []
    for name in ("control", "events"):
        os.mkfifo(tmp_path / name)
        held.append(os.open(tmp_path / name, os.O_RDWR))
    yield tmp_path
    for pipe in held:
        os.close(pipe)


@pytest.mark.parametrize("call", ["read", "wait"])
@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_a_term_just_before_it_blocks_is_heard(
    library: Path, pipes: Path, shell: str, call: str
) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    sh = pipes / "sh"  # busybox must be called by the name of its applet
    sh.symlink_to(program)
    launcher = subprocess.Popen(
        [sh, LAUNCHER, pipes],
        env={
            "PATH": os.environ["PATH"],
            "RANVIER_SHELL": str(sh),
            "LD_PRELOAD": str(library),
            "SIGNAL_BEFORE": call,
        },
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert launcher.wait(END_SECONDS_MAX) == 0
    finally:
        if launcher.poll() is None:
            os.killpg(launcher.pid, 9)
            launcher.wait()
