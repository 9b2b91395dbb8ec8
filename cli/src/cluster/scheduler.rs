//! `tributary cluster scheduler`: takes plans, cuts them into tasks and hands these to whichever executor asks.

use anyhow::Context as _;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::extension::{ballista_aggregate_functions, ballista_scalar_functions, ballista_window_functions};
use ballista_scheduler::SessionBuilder;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionConfig;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::arguments::ClusterScheduler;
use crate::config::Config;
use crate::failure::{Exit, Failure, OrExit as _};
use crate::output;
use crate::signals::Signals;

/// How often executors that are silent are looked for, in seconds.
const LOOK_SECONDS: u64 = 1;

/// Schedules until interrupted.
pub(crate) async fn scheduler(config: &Config, arguments: &ClusterScheduler) -> Result<ExitCode, Failure> {
    let runtime = super::runtime(config, None).or_exit(Exit::Configuration)?;
    let sessions: SessionBuilder = Arc::new(move |session: SessionConfig| {
        let mut state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(session)
            .with_runtime_env(Arc::clone(&runtime))
            .with_optimizer_rules(ballista_core::optimizer::ballista_default_optimizer_rules())
            .with_scalar_functions(ballista_scalar_functions())
            .with_aggregate_functions(ballista_aggregate_functions())
            .with_window_functions(ballista_window_functions())
            .build();
        super::teach(&mut state)?;
        Ok(state)
    });
    let listener = TcpListener::bind(arguments.bind).await;
    let listener = listener.with_context(|| format!("listening on {}", arguments.bind))?;
    let address = listener.local_addr().context("the address of the scheduler")?;
    let options = Arc::new(SchedulerConfig {
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        // Executors ask for work: nobody has to reach them but whoever reads what they made.
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        executor_timeout_seconds: arguments.lost_after,
        expire_dead_executor_interval_seconds: LOOK_SECONDS,
        override_session_builder: Some(sessions),
        ..SchedulerConfig::default()
    });
    let cluster = BallistaCluster::new_from_config(&options).await?;
    let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, options).await?;
    let (mut signals, never) = (Signals::listen()?, CancellationToken::new());
    output::result(&format!("ballista://{address}"));
    tokio::select! {
        ended = start_grpc_service_with_listener(listener, scheduler) => {
            ended.context("the scheduler ended")?;
            Ok(ExitCode::SUCCESS)
        }
        code = signals.stop(&never) => Ok(code),
    }
}
