//! SIGINT and SIGTERM: the first asks for a graceful end, and decides the exit code.

use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::{Exit, Failure, OrExit as _};

/// The two signals.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).or_exit(Exit::Failed)?,
            terminate: signal(SignalKind::terminate()).or_exit(Exit::Failed)?,
        })
    }

    /// Waits for one of them, asks everything to stop, and gives the exit code: 130 for an interrupt; 0 for a
    /// termination, which is how a service manager asks for a clean end.
    pub(crate) async fn stop(&mut self, shutdown: &CancellationToken) -> ExitCode {
        let code = tokio::select! {
            _ = self.interrupt.recv() => ExitCode::from(130),
            _ = self.terminate.recv() => ExitCode::SUCCESS,
        };
        shutdown.cancel();
        code
    }
}
