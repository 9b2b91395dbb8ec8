//! How files of this machine come to where executors read them.

use futures::future::BoxFuture;
use futures::{FutureExt as _, TryStreamExt as _};
use object_store::buffered::BufWriter;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path as Key};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tributary_accounting::cluster::Inputs;
use tributary_indexer::s3::Bucket;
use url::Url;

/// The machines of the cluster see the data folder under the same path.
#[derive(Debug)]
pub(super) struct SharedFolder;

impl Inputs for SharedFolder {
    fn table<'a>(&'a self, _: &'a str, files: &'a [PathBuf]) -> BoxFuture<'a, Result<Vec<String>, String>> {
        let paths = files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
        async { Ok(paths) }.boxed()
    }

    fn job<'a>(&'a self, file: &'a Path) -> BoxFuture<'a, Result<String, String>> {
        let path = file.to_string_lossy().into_owned();
        async { Ok(path) }.boxed()
    }

    fn done<'a>(&'a self, _: &'a Path) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }
}

/// A bucket that this machine writes and executors read.
///
/// Files of tables never change and are named by what is in them, so one that is there with its length is there; they
/// stay. Files of jobs are named by this process too, and go.
#[derive(Debug)]
pub(super) struct InBucket {
    url: Url,
    bucket: Bucket,
}

impl InBucket {
    pub(super) const fn new(url: Url, bucket: Bucket) -> Self {
        Self { url, bucket }
    }

    /// What executors call an object.
    fn named(&self, key: &Key) -> String {
        format!("s3://{}/{key}", self.url.host_str().unwrap_or_default())
    }

    fn job_key(&self, file: &Path) -> Key {
        self.bucket.path(&format!("jobs/{}/{}", std::process::id(), name(file)))
    }

    async fn put(&self, file: &Path, key: &Key) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("writing {} failed: {error}", self.named(key));
        let mut from = tokio::fs::File::open(file).await.map_err(|error| format!("{}: {error}", file.display()))?;
        let mut to = BufWriter::new(Arc::clone(&self.bucket.store) as Arc<dyn ObjectStore>, key.clone());
        tokio::io::copy(&mut from, &mut to).await.map_err(failed)?;
        to.shutdown().await.map_err(failed)
    }

    async fn put_missing(&self, table: &str, files: &[PathBuf]) -> Result<Vec<String>, String> {
        let folder = self.bucket.path(table);
        let failed = |error: object_store::Error| format!("reading {} failed: {error}", self.named(&folder));
        let there: Vec<_> = self.bucket.store.list(Some(&folder)).try_collect().await.map_err(failed)?;
        let there: BTreeMap<Key, u64> = there.into_iter().map(|one| (one.location, one.size)).collect();
        let mut urls = Vec::with_capacity(files.len());
        for file in files {
            let key = folder.clone().join(name(file));
            let length = tokio::fs::metadata(file).await.map_err(|error| format!("{}: {error}", file.display()))?.len();
            if there.get(&key) != Some(&length) {
                self.put(file, &key).await?;
            }
            urls.push(self.named(&key));
        }
        Ok(urls)
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl Inputs for InBucket {
    fn table<'a>(&'a self, table: &'a str, files: &'a [PathBuf]) -> BoxFuture<'a, Result<Vec<String>, String>> {
        self.put_missing(table, files).boxed()
    }

    fn job<'a>(&'a self, file: &'a Path) -> BoxFuture<'a, Result<String, String>> {
        async move {
            let key = self.job_key(file);
            self.put(file, &key).await?;
            Ok(self.named(&key))
        }
        .boxed()
    }

    fn done<'a>(&'a self, file: &'a Path) -> BoxFuture<'a, ()> {
        async move {
            let key = self.job_key(file);
            if let Err(error) = self.bucket.store.delete(&key).await {
                tracing::warn!(object = self.named(&key), %error, "a file of a job was left behind");
            }
        }
        .boxed()
    }
}
