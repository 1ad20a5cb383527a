//! The store, as this worker uses it: is it there, put it there whole or in parts.

use std::borrow::Cow;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{HeaderValue, USER_AGENT};
use http_body_util::BodyExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, GetOptions, MultipartId, ObjectStore,
    PutMultipartOptions, PutOptions, RetryConfig,
};
use protocol::config::UploaderConfig;
use protocol::config::uploader::Login;
use worker::Fault;

use crate::error::Error;

/// Of an object: what it is a copy of.
const SHA256: &str = "sha256";
/// A request has so long, and as long as its bytes take at the slowest rate that is worth waiting for.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const SLOWEST_BYTES_A_SECOND: u64 = 64 << 10;
/// Many put the parts of a large file together before they answer.
const JOINED_WITHIN: Duration = Duration::from_secs(600);
/// What a busy store answers now and then is over at once; all else is the engine's to wait for.
const RETRIES: usize = 2;
const RETRY_WITHIN: Duration = Duration::from_secs(10);

/// A bucket and a place in it.
#[derive(Debug)]
pub(crate) struct Store {
    s3: AmazonS3,
    bucket: String,
    prefix: String,
    /// Of one that is not Amazon's.
    endpoint: Option<String>,
    /// For people, and for telling stores apart.
    name: String,
}

impl Store {
    pub(crate) fn open(config: &UploaderConfig) -> Result<Self, Fault> {
        let client = https::Client::new(config.ca.as_deref()).map_err(Fault::unavailable)?;
        let to = &config.to;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&to.bucket)
            .with_region(&config.region)
            // Each part is compared at its arrival.
            .with_checksum_algorithm(Checksum::SHA256)
            .with_http_connector(Connector(client))
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: RETRIES,
                retry_timeout: RETRY_WITHIN,
            });
        let mut name = format!("s3://{}", to.bucket);
        if let Some(endpoint) = &config.endpoint {
            builder = builder
                .with_endpoint(endpoint.to_string())
                .with_allow_http(endpoint.is_plain())
                .with_virtual_hosted_style_request(false);
            name = format!("{name} at {endpoint}");
        }
        if let Some(credentials) = &config.credentials {
            let login = Login::of(credentials).map_err(Fault::contract)?;
            builder = builder.with_access_key_id(login.key).with_secret_access_key(login.secret);
            if let Some(token) = login.token {
                builder = builder.with_token(token);
            }
        }
        let s3 = builder.build().map_err(|error| Fault::contract(Error::from(error)))?;
        let endpoint = config.endpoint.as_ref().map(ToString::to_string);
        Ok(Self { s3, bucket: to.bucket.clone(), prefix: to.prefix.clone(), endpoint, name })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Of a recording.
    pub(crate) fn key(&self, camera: &str, file: &str) -> Key {
        Key::from_iter(self.prefix.split('/').filter(|part| !part.is_empty()).chain([camera, file]))
    }

    pub(crate) fn url(&self, key: &Key) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    pub(crate) fn endpoint(&self) -> Option<String> {
        self.endpoint.clone()
    }

    /// Whether this very copy is there.
    pub(crate) async fn has(&self, key: &Key, bytes: u64, sha256: &str) -> Result<bool, Error> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.s3.get_opts(key, options).await {
            Ok(found) => {
                let attribute = Attribute::Metadata(Cow::Borrowed(SHA256));
                let own = found.attributes.get(&attribute).map(|value| value.as_ref() == sha256);
                Ok(found.meta.size == bytes && own == Some(true))
            }
            // Who may not list a bucket is told nothing of what is not there; a real no comes with the write.
            Err(
                object_store::Error::NotFound { .. } | object_store::Error::PermissionDenied { .. },
            ) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn put(&self, key: &Key, sha256: &str, bytes: Bytes) -> Result<(), Error> {
        let options = PutOptions { attributes: attributes(sha256), ..PutOptions::default() };
        self.s3.put_opts(key, bytes.into(), options).await?;
        Ok(())
    }

    pub(crate) async fn begin(&self, key: &Key, sha256: &str) -> Result<MultipartId, Error> {
        let attributes = attributes(sha256);
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        Ok(self.s3.create_multipart_opts(key, options).await?)
    }

    pub(crate) async fn put_part(
        &self,
        key: &Key,
        id: &MultipartId,
        index: usize,
        bytes: Bytes,
    ) -> Result<PartId, Error> {
        Ok(self.s3.put_part(key, id, index, bytes.into()).await?)
    }

    pub(crate) async fn complete(
        &self,
        key: &Key,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<(), Error> {
        self.s3.complete_multipart(key, id, parts).await?;
        Ok(())
    }

    /// One that the store knows nothing of is given up already.
    pub(crate) async fn give_up(&self, key: &Key, id: &MultipartId) -> Result<(), Error> {
        match self.s3.abort_multipart(key, id).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn attributes(sha256: &str) -> Attributes {
    let mut attributes = Attributes::new();
    attributes.insert(Attribute::ContentType, "video/mp4".into());
    attributes.insert(Attribute::Metadata(Cow::Borrowed(SHA256)), sha256.to_owned().into());
    attributes
}

/// Whether a request makes one object of its parts.
fn joins(head: &http::request::Parts) -> bool {
    let query = head.uri.query().unwrap_or_default();
    head.method == http::Method::POST && query.split('&').any(|pair| pair.starts_with("uploadId="))
}

#[derive(Debug)]
struct Connector(https::Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service(self.0.clone())))
    }
}

#[derive(Debug)]
struct Service(https::Client);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut head, body) = request.into_parts();
        let agent = concat!("framevisor/", env!("CARGO_PKG_VERSION"));
        head.headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        // In memory: nothing of it can fail.
        let body = body.collect().await?.to_bytes();
        let takes = Duration::from_secs(body.len() as u64 / SLOWEST_BYTES_A_SECOND);
        let limit = if joins(&head) { JOINED_WITHIN } else { ANSWER_WITHIN + takes };
        let request = http::Request::from_parts(head, body);
        let answer = self.0.call(request, limit).await.map_err(|error| {
            let kind = match error {
                https::Error::Connect(_) => HttpErrorKind::Connect,
                https::Error::Late(_) => HttpErrorKind::Timeout,
                https::Error::Broken(_) => HttpErrorKind::Interrupted,
                _ => HttpErrorKind::Unknown,
            };
            HttpError::new(kind, error)
        })?;
        Ok(answer.map(Into::into))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_has_long_to_put_parts_together_and_for_nothing_else() {
        let joins = |method: &str, uri: &str| {
            joins(
                &http::Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0,
            )
        };
        assert!(joins("POST", "http://h/b/k?uploadId=7"));
        assert!(!joins("POST", "http://h/b/k?uploads="));
        assert!(!joins("PUT", "http://h/b/k?partNumber=1&uploadId=7"));
        assert!(!joins("DELETE", "http://h/b/k?uploadId=7"));
    }
}
