//! Stops a process at every call that changes what is stored, before the call is made.
//!
//! The kernel does it: a seccomp filter makes such calls wait for an answer of ours. They arrive
//! one by one, in one order for all threads, which is what counting them needs. strace cannot do
//! this, as it counts for each thread on its own.
//!
//! Invariant: while a call waits, it has had no effect. If the process is killed then, the call
//! never happens, and no call that arrived after it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

use libc::{c_long, seccomp_data, seccomp_notif, seccomp_notif_resp, sock_filter, sock_fprog};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// Calls that change files whatever their arguments.
const CHANGING: &[c_long] = &[
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_copy_file_range,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_mkdirat,
    libc::SYS_linkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
];

/// The gate of one process, which ends with it.
pub(crate) struct Gate {
    listener: OwnedFd,
}

/// A call that waits.
pub(crate) struct Waiting {
    pub(crate) id: u64,
    /// The thread.
    pub(crate) thread: u32,
    pub(crate) call: c_long,
    pub(crate) arguments: [u64; 6],
}

/// Starts a process that stops at the gate.
pub(crate) fn spawn(command: &mut Command) -> io::Result<(Child, Gate)> {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let filter = filter();
    let install = move || send(theirs.as_fd(), install(&filter)?.as_fd());
    // SAFETY: between fork and exec only system calls are made: the filter was built before, and
    // the message is on the stack.
    unsafe { command.pre_exec(install) };
    let child = command.spawn()?;
    Ok((child, Gate { listener: receive(ours.as_fd())? }))
}

impl Gate {
    /// The next call, once there is one; `None` once the process has ended.
    pub(crate) fn next(&self) -> Option<Waiting> {
        let mut poll =
            libc::pollfd { fd: self.listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        loop {
            // SAFETY: one descriptor, which lives as long as the call.
            let ready = unsafe { libc::poll(&raw mut poll, 1, -1) };
            if ready < 0 {
                continue;
            }
            if poll.revents & libc::POLLIN == 0 {
                return None;
            }
            // SAFETY: plain numbers, for which zero is a value; the kernel asks for zeros.
            let mut found: seccomp_notif = unsafe { std::mem::zeroed() };
            let request = libc::SECCOMP_IOCTL_NOTIF_RECV;
            // SAFETY: the request takes this struct, which lives as long as the call.
            let got = unsafe { libc::ioctl(self.listener.as_raw_fd(), request, &raw mut found) };
            // A call that was broken off meanwhile is not there any more.
            if got == 0 {
                let seccomp_data { nr, args, .. } = found.data;
                let (id, thread) = (found.id, found.pid);
                return Some(Waiting { id, thread, call: c_long::from(nr), arguments: args });
            }
        }
    }

    /// Lets a call happen.
    pub(crate) fn open(&self, waiting: &Waiting) {
        let flags = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).expect("a small flag");
        let answer = seccomp_notif_resp { id: waiting.id, val: 0, error: 0, flags };
        let request = libc::SECCOMP_IOCTL_NOTIF_SEND;
        // SAFETY: the request takes this struct, which lives as long as the call. An error means
        // that the call was broken off: there is nobody to answer.
        unsafe { libc::ioctl(self.listener.as_raw_fd(), request, &raw const answer) };
    }
}

/// `openat` waits if it may make or empty a file, calls that change files wait, all others pass.
fn filter() -> Vec<sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let line = |code: u32, k: u32, jt: usize, jf: usize| sock_filter {
        code: u16::try_from(code).expect("a code"),
        jt: u8::try_from(jt).expect("a short jump"),
        jf: u8::try_from(jf).expect("a short jump"),
        k,
    };
    let offset = |at: usize| u32::try_from(at).expect("an offset");
    let number = |call: c_long| u32::try_from(call).expect("a call's number");
    let flags_at = std::mem::offset_of!(seccomp_data, args) + 2 * size_of::<u64>();
    let making = (libc::O_CREAT | libc::O_TRUNC).unsigned_abs();
    let mut lines = vec![line(LOAD, offset(std::mem::offset_of!(seccomp_data, nr)), 0, 0)];
    for (at, call) in CHANGING.iter().enumerate() {
        lines.push(line(EQUAL, number(*call), CHANGING.len() - at + 3, 0));
    }
    lines.push(line(EQUAL, number(libc::SYS_openat), 0, 2));
    lines.push(line(LOAD, offset(flags_at), 0, 0));
    lines.push(line(ANY_BIT, making, 1, 0));
    lines.push(line(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
    lines.push(line(RETURN, libc::SECCOMP_RET_USER_NOTIF, 0, 0));
    lines
}

/// Puts the filter in force for this process and its children; the listener of it.
fn install(filter: &[sock_filter]) -> io::Result<OwnedFd> {
    let len = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: numbers only. Without it the filter would be refused to all but root.
    let kept = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if kept != 0 {
        return Err(io::Error::last_os_error());
    }
    let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    // SAFETY: the program and its lines live as long as the call, which only reads them.
    let listener = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    match i32::try_from(listener) {
        // SAFETY: the kernel has just made it, for us alone.
        Ok(listener) if listener >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(listener) }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn send(socket: BorrowedFd<'_>, passed: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let passed = [passed];
    control.push(SendAncillaryMessage::ScmRights(&passed));
    sendmsg(socket, &[IoSlice::new(b"l")], &mut control, SendFlags::empty())?;
    Ok(())
}

fn receive(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let passed = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut passed) => passed.next(),
        _ => None,
    });
    passed.ok_or_else(|| io::Error::other("no listener came"))
}
