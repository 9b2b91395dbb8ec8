//! `tributary cluster executor`: asks the scheduler for tasks, does them, and keeps what they made until it is read.

use anyhow::{Context as _, anyhow};
use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::error::BallistaError;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_core::utils::{GrpcServerConfig, create_grpc_server, create_grpc_server_incoming};
use ballista_executor::ArrowFlightServerProvider;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::flight_service::BallistaFlightService;
use ballista_executor::shutdown::Shutdown;
use datafusion::prelude::SessionConfig;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use tributary_accounting::engine::{cascade_udf, sum_checked};

use crate::arguments::ClusterExecutor;
use crate::config::Config;
use crate::failure::{Exit, Failure, OrExit as _};
use crate::output;
use crate::replay::Scratch;
use crate::signals::Signals;

/// Seconds in which the scheduler has to be there.
const CONNECT_SECONDS: u16 = 30;
/// What one message may hold, as everywhere in Ballista.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Works until interrupted.
pub(crate) async fn executor(config: &Config, arguments: &ClusterExecutor) -> Result<ExitCode, Failure> {
    let scheduler = super::scheduler_of(config).or_exit(Exit::Configuration)?;
    let none = || anyhow!("settlement.engine is \"local\": expected the scheduler, \"ballista://host:port\"");
    let scheduler = scheduler.ok_or_else(none).or_exit(Exit::Configuration)?;
    let (scratch, folder) = match &arguments.work_dir {
        Some(folder) => (None, folder.clone()),
        None => {
            let scratch = Scratch::new("executor")?;
            let folder = scratch.path().to_owned();
            (Some(scratch), folder)
        }
    };
    std::fs::create_dir_all(&folder).with_context(|| format!("making the folder {}", folder.display()))?;
    let (port, flight) = flight(arguments)?;
    let runtime = super::runtime(config, Some(&folder)).or_exit(Exit::Configuration)?;
    let options = ExecutorProcessConfig {
        bind_host: arguments.bind.ip().to_string(),
        external_host: arguments.advertise.clone(),
        port,
        scheduler_host: scheduler.host.clone(),
        scheduler_port: scheduler.port,
        scheduler_connect_timeout_seconds: CONNECT_SECONDS,
        vcores: usize::try_from(config.engine.partitions).unwrap_or(1),
        task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
        work_dir: Some(folder.to_string_lossy().into_owned()),
        memory_pool_size: Some(config.engine.memory_mib.saturating_mul(1 << 20)),
        override_function_registry: Some(Arc::new(functions())),
        override_runtime_producer: Some(Arc::new(move |_: &SessionConfig| Ok(Arc::clone(&runtime)))),
        override_arrow_flight_service: Some(flight),
        ..ExecutorProcessConfig::default()
    };
    let (mut signals, never) = (Signals::listen()?, CancellationToken::new());
    output::result(&format!("executor of {scheduler} on port {port}"));
    let ended = tokio::select! {
        ended = start_executor_process(Arc::new(options)) => {
            ended.map(|()| ExitCode::SUCCESS).with_context(|| format!("working for {scheduler}"))
        }
        code = signals.stop(&never) => Ok(code),
    };
    drop(scratch);
    ended.or_exit(Exit::Unreachable)
}

/// What the functions of a plan are looked up in.
fn functions() -> BallistaFunctionRegistry {
    let mut registry = BallistaFunctionRegistry::default();
    let (cascade, sum) = (Arc::new(cascade_udf::cascade()), Arc::new(sum_checked::sum_checked()));
    registry.scalar_functions.insert(cascade.name().to_owned(), cascade);
    registry.aggregate_functions.insert(sum.name().to_owned(), sum);
    registry
}

/// The server of what tasks made, listening already, so that its port is known before the scheduler is told.
#[expect(clippy::disallowed_methods, reason = "the executor waits for what it is given")]
fn flight(arguments: &ClusterExecutor) -> Result<(u16, Arc<ArrowFlightServerProvider>), Failure> {
    let incoming = create_grpc_server_incoming(arguments.bind, &GrpcServerConfig::default());
    let incoming = incoming.with_context(|| format!("listening on {}", arguments.bind))?;
    let port = incoming.local_addr().context("the address of the executor")?.port();
    let incoming = Mutex::new(Some(incoming));
    let serve: Arc<ArrowFlightServerProvider> =
        Arc::new(move |folder: String, _, mut shutdown: Shutdown, options: GrpcServerConfig| {
            let incoming = incoming.lock().unwrap_or_else(PoisonError::into_inner).take();
            let serve = async move {
                let twice = || BallistaError::General("the executor was started twice".to_owned());
                let service = FlightServiceServer::new(BallistaFlightService::new(folder))
                    .max_decoding_message_size(MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(MESSAGE_BYTES_MAX);
                let server = create_grpc_server(&options).add_service(service);
                let served = server.serve_with_incoming_shutdown(incoming.ok_or_else(twice)?, shutdown.recv()).await;
                served.map_err(BallistaError::TonicError)
            };
            tokio::spawn(serve)
        });
    Ok((port, serve))
}
