//! How much of a node's memory is free memory that its allocator keeps.
//!
//! glibc gives threads arenas of their own, up to eight for each processor, and what is freed in one stays with it. A
//! node's threads work in turns, on large pieces (sealing, publishing, settling), so most of what it held would be
//! free. With an arena for each processor it holds half of that and is no slower. The number is read when a process
//! begins, from its environment: so a node begins anew once, as the same process, unless it is told a number.

/// glibc's name for the number of arenas (`man 3 mallopt`).
const ARENAS: &str = "MALLOC_ARENA_MAX";
/// A thread that waits for an arena should find another.
const LEAST: usize = 2;

/// Begins the process anew with as many arenas as there are processors. Returns where that is not needed or cannot be
/// done: then it is run with more.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn bound_arenas() {
    use crate::environment;
    use std::os::unix::process::CommandExt as _;

    if environment::is_told(ARENAS) || environment::is_told("GLIBC_TUNABLES") {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let arenas =
        std::thread::available_parallelism().map_or(LEAST, |processors| std::cmp::max(processors.get(), LEAST));
    let mut arguments = std::env::args_os();
    let mut anew = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        anew.arg0(name);
    }
    let error = anew.args(arguments).env(ARENAS, arenas.to_string()).exec();
    tracing::debug!(%error, "the allocator's arenas are as many as it likes");
}

/// Other systems' allocators have no such setting.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) const fn bound_arenas() {}
