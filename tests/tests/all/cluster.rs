//! Settlement on a cluster: a real scheduler and executors, as processes on loopback, come to the digests of one machine,
//! from a shared folder and from a bucket of S3, and when one of them is killed while it works.

use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::ParquetReadOptions;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use tributary_accounting::cluster::Inputs;
use tributary_accounting::{Cluster, Input, settle};
use tributary_schemas::money;
use tributary_tests::program::{run_demo, tributary};
use tributary_tests::s3::{KEY_ID, S3Server, SECRET, Wire};
use tributary_tests::tables::{Shape, context, extend};
use tributary_tests::world::World;

/// Seconds of silence after which the scheduler gives an executor up; a busy one is heard every five.
const LOST_AFTER: &str = "8";

/// A machine of a cluster; killed when dropped.
struct Machine {
    child: Child,
    said: String,
}

impl Machine {
    /// Starts one and waits for its first line, which it prints when it is ready.
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        Self { child, said: said.trim().to_owned() }
    }

    fn kill(&mut self) {
        // It may be gone already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The environment of a cluster's machines.
#[derive(Clone, Default)]
struct Site {
    engine: String,
    inputs: String,
    endpoint: String,
}

impl Site {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tributary(arguments);
        command
            .env("TRIBUTARY_SETTLEMENT_CLUSTER_INPUTS", &self.inputs)
            .env("TRIBUTARY_SETTLEMENT_S3_ENDPOINT", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET);
        if !self.engine.is_empty() {
            command.env("TRIBUTARY_SETTLEMENT_ENGINE", &self.engine);
        }
        command
    }

    /// Starts the scheduler, which says where it is.
    fn scheduler(&mut self) -> Machine {
        let machine = Machine::start(self.command(&[
            "cluster",
            "scheduler",
            "--bind",
            "127.0.0.1:0",
            "--lost-after",
            LOST_AFTER,
        ]));
        assert!(machine.said.starts_with("ballista://127.0.0.1:"), "{}", machine.said);
        self.engine.clone_from(&machine.said);
        machine
    }

    fn executor(&self, folder: &Path) -> Machine {
        let folder = folder.display().to_string();
        let machine = Machine::start(self.command(&["cluster", "executor", "--work-dir", &folder]));
        assert!(machine.said.starts_with("executor of 127.0.0.1:"), "{}", machine.said);
        machine
    }

    /// Settles a data folder again up to an epoch.
    fn replay(&self, data: &Path, epoch: i64) -> Command {
        self.command(&["replay", "--json", "--epoch", &epoch.to_string(), "--data-dir", &data.display().to_string()])
    }
}

fn shown(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "replay ended with {}:\n{said}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A settled data folder, its last epoch, and what one machine makes of it.
fn settled(folder: &Path) -> (PathBuf, i64, Value) {
    let data = folder.join("data");
    let demo = run_demo(5, 60, "", &data);
    let query = "SELECT max(epoch) AS last FROM epochs";
    let rows = tributary_tests::program::json(&["sql", query, "--json", "--data-dir", &data.display().to_string()]);
    let last = rows[0]["last"].as_i64().unwrap_or_else(|| unreachable!("{rows} {demo}"));
    let here = shown(&Site::default().replay(&data, last).output().unwrap());
    assert_eq!(here["same"], true, "{here}");
    (data, last, here)
}

/// Folders of jobs that an executor took part in.
fn jobs(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// Files in a folder and the folders in it.
fn files_below(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}

/// Inputs that are where they are.
#[derive(Debug)]
struct Here;

impl Inputs for Here {
    fn table<'a>(&'a self, _: &'a str, files: &'a [PathBuf]) -> BoxFuture<'a, Result<Vec<String>, String>> {
        async { Ok(files.iter().map(|file| file.display().to_string()).collect()) }.boxed()
    }
    fn job<'a>(&'a self, file: &'a Path) -> BoxFuture<'a, Result<String, String>> {
        async { Ok(file.display().to_string()) }.boxed()
    }
    fn done<'a>(&'a self, _: &'a Path) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }
}

/// The plan that travels, run where it is made, over random worlds: it is what the kernel does.
#[tokio::test]
async fn the_plan_of_a_cluster_comes_to_what_the_kernel_comes_to() {
    let folder = tempfile::tempdir().unwrap();
    let jobs = folder.path().join("jobs");
    let cluster = Cluster::new("here".to_owned(), || tributary_accounting::session(None, 3), Here, jobs.clone());
    let cluster = Arc::new(cluster);
    for seed in 0..25 {
        let world = World::new(seed);
        let (mut all, mut input) = (money::Rows::default(), Input { chain_id: 1612, ..Input::default() });
        let file = folder.path().join(format!("{seed}.parquet")).display().to_string();
        for epoch in &world.epochs {
            input.epoch = *epoch;
            let kernel = context(Shape::default(), &world.facts, &all);
            let expected = settle(&kernel, &input).await.unwrap().unwrap();
            let options = DataFrameWriteOptions::new().with_single_file_output(true);
            kernel.table("attributions").await.unwrap().write_parquet(&file, options, None).await.unwrap();
            let plan = context(Shape::default(), &world.facts, &all);
            plan.deregister_table("attributions").unwrap();
            plan.register_parquet("attributions", &file, ParquetReadOptions::default()).await.unwrap();
            cluster.carry(&plan);
            let settled = settle(&plan, &input).await.unwrap().unwrap();
            assert_eq!(settled.manifest, expected.manifest, "seed {seed}, epoch {epoch}");
            (input.ledger_digest, input.manifest_hash) = (settled.ledger_digest, Some(settled.manifest_hash));
            extend(&mut all, settled.tables.rows());
        }
    }
    assert_eq!(std::fs::read_dir(jobs).unwrap().count(), 0, "the file of a job stayed");
}

#[test]
fn a_cluster_that_shares_the_data_folder_comes_to_the_same_digests() {
    let folder = tempfile::tempdir().unwrap();
    let (data, last, here) = settled(folder.path());
    let mut site = Site::default();
    let _scheduler = site.scheduler();
    let works = ["one", "two"].map(|name| folder.path().join(name));
    let _executors = works.each_ref().map(|work| site.executor(work));
    let there = shown(&site.replay(&data, last).output().unwrap());
    assert_eq!(there, here);
    assert!(works.iter().map(|work| jobs(work)).sum::<usize>() > 0, "the executors did nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_executor_that_is_killed_at_work_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (data, last, here) = settled(folder.path());
    let objects = folder.path().join("s3");
    std::fs::create_dir_all(objects.join("tables")).unwrap();
    let server = S3Server::start(&objects);
    let wire = Wire::to(&server, None).await.unwrap();
    let stuck = Wire::to(&server, Some("/attributions/")).await.unwrap();
    let mut site =
        Site { inputs: "s3://tables/of/chain".to_owned(), endpoint: wire.url().to_owned(), ..Site::default() };
    let _scheduler = site.scheduler();
    // It takes the first task, and its records never come.
    let doomed_site = Site { endpoint: stuck.url().to_owned(), ..site.clone() };
    let works = ["doomed", "heir"].map(|name| folder.path().join(name));
    let mut doomed = doomed_site.executor(&works[0]);
    let replay = site.replay(&data, last).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    stuck.held().await;
    doomed.kill();
    let _heir = site.executor(&works[1]);
    let there = tokio::task::spawn_blocking(move || replay.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(shown(&there), here);
    assert!(jobs(&works[1]) > 0, "the other executor did nothing");

    let requests = wire.requests();
    let all = |part: &str| requests.iter().filter(|one| one.starts_with(part)).count();
    assert!(
        all("GET /tables/of/chain/attributions/") > 0 && all("PUT /tables/of/chain/attributions/") > 0,
        "{requests:?}"
    );
    let files = std::fs::read_dir(data.join("tables/attributions")).unwrap();
    let parquet = files.filter(|one| one.as_ref().unwrap().path().extension().is_some_and(|end| end == "parquet"));
    assert!(all("PUT /tables/of/chain/attributions/") <= parquet.count(), "a file was put twice: {requests:?}");
    assert!(all("PUT /tables/of/chain/jobs/") > 0, "nothing was to be divided: {requests:?}");
    assert_eq!(files_below(&objects.join("tables/of/chain/jobs")), 0, "a job's file stayed: {requests:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_cannot_do_it_is_an_error_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (data, last, _) = settled(folder.path());
    let said = |mut command: Command| {
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    // A port that nobody listens on: it was free a moment ago, and stays reserved while it is asked for.
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let engine = format!("ballista://127.0.0.1:{port}");
    let gone = said(Site { engine: engine.clone(), ..Site::default() }.replay(&data, last));
    assert!(gone.contains(&engine) && gone.contains("connect"), "{gone}");

    let objects = folder.path().join("s3");
    std::fs::create_dir_all(objects.join("tables")).unwrap();
    let server = S3Server::start(&objects);
    let site = Site { engine, inputs: "s3://tables".to_owned(), endpoint: server.url().to_owned() };
    let mut wrong = site.replay(&data, last);
    wrong.env("AWS_SECRET_ACCESS_KEY", "another");
    let refused = tokio::task::spawn_blocking(move || said(wrong)).await.unwrap();
    assert!(refused.contains("SignatureDoesNotMatch") && !refused.contains("another\""), "{refused}");
    let mut none = site.replay(&data, last);
    none.env_remove("AWS_SECRET_ACCESS_KEY");
    assert!(said(none).contains("expected both or neither"));
}
