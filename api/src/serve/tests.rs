use std::num::NonZeroU32;

use axum::body::{Body, to_bytes};
use axum::extract::connect_info::MockConnectInfo;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::fixture;

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: axum::http::HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|cause| panic!("{cause}: {}", self.body))
    }
}

pub(super) fn config() -> ApiConfig {
    let rate = RateLimit { burst: NonZeroU32::new(100).unwrap(), window: Duration::from_secs(100_000) };
    ApiConfig { rate, ..ApiConfig::default() }
}

pub(super) async fn server(config: ApiConfig) -> (axum::Router, fixture::Published) {
    let published = fixture::publish().await;
    let assets: Assets =
        Arc::new(|path| (path == "index.html" || path.is_empty()).then(|| ("text/html", b"hello".into())));
    let app = App::new(
        config,
        published.lake.clone(),
        published.dir.path().to_owned(),
        Some(assets),
        CancellationToken::new(),
    )
    .unwrap();
    let peer = MockConnectInfo(SocketAddr::from(([192, 0, 2, 1], 1)));
    (routes::router(app).layer(peer), published)
}

pub(super) async fn send(router: &axum::Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

pub(super) fn post(path: &str, accept: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json").header("accept", accept);
    request.body(body.into()).unwrap()
}

pub(super) fn graphql(query: &str) -> Request<Body> {
    post("/graphql", "application/graphql-response+json", json!({ "query": query }).to_string())
}

#[tokio::test]
async fn a_query_is_answered_by_post_and_get() {
    let (router, _published) = server(config()).await;
    let by_post = send(&router, graphql("{ status { snapshot } }")).await;
    assert_eq!((by_post.status, &by_post.json()["data"]), (StatusCode::OK, &json!({ "status": { "snapshot": 0 } })));
    assert_eq!(by_post.headers["content-type"], "application/graphql-response+json");
    assert_eq!(by_post.json()["extensions"]["requestId"], json!(by_post.headers["x-request-id"].to_str().unwrap()));
    let uri = "/graphql?query=%7Bstatus%7Bsnapshot%7D%7D";
    let by_get = send(&router, Request::get(uri).body(Body::empty()).unwrap()).await;
    assert_eq!((by_get.status, &by_get.json()["data"]), (StatusCode::OK, &by_post.json()["data"]));
    assert_eq!(by_get.headers["content-type"], "application/json");
}

#[tokio::test]
async fn the_quota_is_told_and_kept() {
    let (router, _published) = server(config()).await;
    let first = send(&router, graphql("{ status { snapshot } }")).await;
    assert_eq!(first.headers["ratelimit-policy"], "\"default\";q=100;w=100000");
    assert_eq!(first.headers["ratelimit"], "\"default\";r=99;t=1000");
    // 1 + 500 × (nodes 1 + entitlements 1 + cumulative 1) = 1,501 of complexity: 15 units more.
    let heavy = "{ accounts(first: 500) { nodes { entitlements { cumulative { raw } } } } }";
    assert_eq!(send(&router, graphql(heavy)).await.headers["ratelimit"], "\"default\";r=83;t=17000");
    for _ in 0..5 {
        assert_eq!(send(&router, graphql(heavy)).await.status, StatusCode::OK);
    }
    let refused = send(&router, graphql(heavy)).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 1);
    assert_eq!(refused.json()["code"], json!("RATE_LIMITED"));
    // Another client behind the same peer is not believed to be one.
    let mut disguised = graphql(heavy);
    disguised.headers_mut().insert("x-forwarded-for", "8.8.8.8".parse().unwrap());
    assert_eq!(send(&router, disguised).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(send(&router, Request::get("/healthz").body(Body::empty()).unwrap()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn bad_requests_have_a_status_and_a_code() {
    let (router, _published) = server(config()).await;
    let bomb = format!("{{ {} }}", "a ".repeat(3_000));
    for (accept, body, status, code) in [
        ("application/json", "[]".to_owned(), 400, "BATCH_REFUSED"),
        ("application/json", "{".to_owned(), 400, "BAD_REQUEST"),
        ("application/json", "{\"query\": \"{ nothing }\"}".to_owned(), 200, "GRAPHQL_VALIDATION_FAILED"),
        (
            "application/graphql-response+json",
            "{\"query\": \"{ nothing }\"}".to_owned(),
            400,
            "GRAPHQL_VALIDATION_FAILED",
        ),
        ("application/graphql-response+json", "{\"query\": \"{\"}".to_owned(), 400, "GRAPHQL_PARSE_FAILED"),
        ("application/graphql-response+json", json!({ "query": bomb }).to_string(), 400, "QUERY_TOO_LARGE"),
        ("application/graphql-response+json", json!({ "query": "" }).to_string(), 400, "BAD_REQUEST"),
    ] {
        let got = send(&router, post("/graphql", accept, body.clone())).await;
        assert_eq!(got.status.as_u16(), status, "{body}: {}", got.body);
        assert_eq!(got.json()["errors"][0]["extensions"]["code"], json!(code), "{body}");
        assert!(got.json()["errors"][0]["extensions"]["requestId"].is_string());
    }
    let large = send(&router, post("/graphql", "", "x".repeat(70_000))).await;
    assert_eq!((large.status, &large.json()["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("QUERY_TOO_LARGE")));
    let form = Request::post("/graphql").header("content-type", "text/plain").body("{}".into()).unwrap();
    assert_eq!(send(&router, form).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn sql_comes_as_json_and_csv() {
    let (router, _published) = server(config()).await;
    let body =
        json!({ "query": "SELECT token, sum(amount) AS money, max(epoch) AS epoch FROM entitlements GROUP BY 1" })
            .to_string();
    let got = send(&router, post("/v1/sql", "application/json", body.clone())).await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.body);
    assert_eq!(got.json()["rows"], json!([{ "token": fixture::NATIVE, "money": "461", "epoch": 1 }]));
    assert_eq!(got.json()["columns"][1]["name"], json!("money"));
    assert_eq!(got.json()["asOf"]["number"], json!(20));
    assert_eq!(got.headers["ratelimit"], "\"default\";r=89;t=11000");
    let csv = send(&router, post("/v1/sql", "text/csv", body)).await;
    assert_eq!(csv.body, format!("token,money,epoch\n{},461,1\n", fixture::NATIVE));
    let none = json!({ "query": "SELECT * FROM payments" }).to_string();
    assert_eq!(send(&router, post("/v1/sql", "", none)).await.json()["rows"], json!([]));
    let drop = send(&router, post("/v1/sql", "", json!({ "query": "DROP TABLE blocks" }).to_string())).await;
    assert_eq!((drop.status, &drop.json()["code"]), (StatusCode::BAD_REQUEST, &json!("SQL_REFUSED")));
}

#[tokio::test]
async fn an_answer_from_the_snapshot_is_given_again_and_one_from_beside_it_is_not() {
    let published = fixture::publish().await;
    let app =
        App::new(config(), published.lake.clone(), published.dir.path().to_owned(), None, CancellationToken::new());
    let app = app.unwrap();
    let peer = MockConnectInfo(SocketAddr::from(([192, 0, 2, 1], 1)));
    let (router, operators) = (routes::router(Arc::clone(&app)).layer(peer), routes::operators(app).layer(peer));
    let again = async || {
        let metrics = send(&operators, Request::get("/metrics").body(Body::empty()).unwrap()).await.body;
        let name = "tributary_api_answers_given_again_total ";
        metrics.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok()).unwrap()
    };
    let earned = "{ accounts(first: 2) { nodes { address entitlements { cumulative { raw } } } } }";
    let first = send(&router, graphql(earned)).await;
    let second = send(&router, graphql(earned)).await;
    assert_eq!((first.status, second.status, again().await), (StatusCode::OK, StatusCode::OK, 1));
    let id = |answer: &Answer| answer.headers["x-request-id"].to_str().unwrap().to_owned();
    assert_ne!(id(&first), id(&second));
    let renamed = |id: String| format!("\"requestId\":\"{id}\"");
    assert_eq!(first.body.replace(&renamed(id(&first)), &renamed(id(&second))), second.body);
    // What the follower says is read each time; what is wrong is found wrong each time.
    let told = async || send(&router, graphql("{ status { waiting } }")).await.json()["data"]["status"].clone();
    for waits in ["for one", "for another"] {
        let status = tributary_store::Status { waiting: vec![waits.to_owned()], ..Default::default() };
        tributary_store::write_status(published.dir.path(), &status).unwrap();
        assert_eq!(told().await["waiting"], json!([waits]));
    }
    for _ in 0..2 {
        assert_eq!(send(&router, graphql("{ nothing }")).await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(again().await, 1);
}

#[tokio::test]
async fn a_query_waits_for_its_place_and_is_turned_away() {
    let published = fixture::publish().await;
    let few = ApiConfig { queries_max: 1, ..config() };
    let served = |config| {
        App::new(config, published.lake.clone(), published.dir.path().to_owned(), None, CancellationToken::new())
    };
    let free = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let refused = served(ApiConfig { flight: free, ..few.clone() }).err().unwrap().to_string();
    assert_eq!(refused, "limit queries_max is 1: expected at least one for each way in of SQL that is served");
    let app = served(few).unwrap();
    let router = routes::router(Arc::clone(&app)).layer(MockConnectInfo(SocketAddr::from(([192, 0, 2, 1], 1))));
    let ask = async || send(&router, post("/v1/sql", "", json!({ "query": "SELECT 1" }).to_string())).await;
    let place = app.sql_room.enter(Way::Http).await.unwrap();
    let got = ask().await;
    assert_eq!((got.status, &got.json()["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("OVERLOADED")));
    assert_eq!(got.headers["retry-after"], "1");
    assert_eq!(send(&router, graphql("{ status { snapshot } }")).await.status, StatusCode::OK, "others are answered");
    drop(place);
    assert_eq!(ask().await.status, StatusCode::OK);
}

#[tokio::test]
async fn pages_are_served_under_a_strict_policy() {
    let (router, _published) = server(config()).await;
    let page = async |path: &str, accept: &str| {
        send(&router, Request::get(path).header("accept", accept).body(Body::empty()).unwrap()).await
    };
    let home = page("/", "text/html").await;
    assert_eq!((home.status, home.body.as_str()), (StatusCode::OK, "hello"));
    assert!(home.headers["content-security-policy"].to_str().unwrap().contains("script-src 'self';"));
    assert_eq!(home.headers["x-content-type-options"], "nosniff");
    assert_eq!(page("/nothing.js", "").await.status, StatusCode::NOT_FOUND);
    assert!(page("/graphql", "text/html").await.body.contains("/schema.graphql"));
    assert_eq!(page("/schema.graphql", "").await.body, crate::sdl());
}

#[tokio::test]
async fn ready_means_caught_up_and_agreed() {
    let (router, published) = server(config()).await;
    let refused = async || {
        let answer = send(&router, Request::get("/readyz").body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("NOT_READY")));
        answer.json()["detail"].as_str().unwrap().to_owned()
    };
    // The chain published another total of epoch 0 than was settled.
    let said = refused().await;
    assert!(said.contains("epoch 0") && said.contains("expected 461"), "{said}");
    let behind = tributary_store::Status {
        lag_blocks: 65,
        ..tributary_store::read_status(published.dir.path()).unwrap().unwrap()
    };
    tributary_store::write_status(published.dir.path(), &behind).unwrap();
    assert_eq!(refused().await, "65 blocks behind: expected at most 64");
}

#[tokio::test]
async fn without_a_snapshot_the_answer_is_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path()).await.unwrap();
    let app = App::new(config(), lake, dir.path().to_owned(), None, CancellationToken::new()).unwrap();
    let router = routes::router(app).layer(MockConnectInfo(SocketAddr::from(([192, 0, 2, 1], 1))));
    let got = send(&router, graphql("{ status { snapshot } }")).await;
    assert_eq!(
        (got.status, &got.json()["errors"][0]["extensions"]["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("NOT_READY"))
    );
}

#[tokio::test]
async fn it_listens_answers_and_stops() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let published = fixture::publish().await;
    let stop = CancellationToken::new();
    let bound =
        serve(config(), published.lake.clone(), published.dir.path().to_owned(), None, stop.clone()).await.unwrap();
    assert!(bound.addr.ip().is_loopback() && bound.addr.port() != 0);
    let ask = async {
        let mut connection = tokio::net::TcpStream::connect(bound.addr).await.unwrap();
        connection.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).await.unwrap();
        stop.cancel();
        text
    };
    let (ended, text) = tokio::join!(bound.run, ask);
    ended.unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.ends_with("ok\n"), "{text}");
}
