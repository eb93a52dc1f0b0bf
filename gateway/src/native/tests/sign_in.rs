//! Sessions of the page.

use axum::body::Body;
use http::{Method, Request, StatusCode};

use super::world::{Answer, World};

async fn sign_in(world: &World, secret: &str) -> Answer {
    let body = serde_json::json!({ "access_key_id": world.root.access_key_id, "secret_access_key": secret });
    let request = Request::post("/v1/session").header("content-type", "application/json");
    world.send(request.body(Body::from(body.to_string())).unwrap()).await
}

fn cookie(answer: &Answer) -> String {
    let set = answer.headers["set-cookie"].to_str().unwrap();
    assert!(set.contains("; HttpOnly") && set.contains("; SameSite=Strict"), "{set}");
    set.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_page_signs_in_and_out() {
    let world = World::with(0).await;
    let wrong = sign_in(&world, "not-the-secret").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(!wrong.headers.contains_key("set-cookie"));
    let cookie = cookie(&sign_in(&world, &world.root.secret).await);
    let page = [("cookie", cookie.as_str()), ("x-millrace-console", "1")];
    let who = world.plain(Method::GET, "/v1/session", &page).await;
    assert_eq!(who.json()["principal"], world.root.access_key_id);
    let forged = world.plain(Method::PUT, "/v1/streams/new", &page[..1]).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN, "a page of another site cannot send the header");
    assert_eq!(world.plain(Method::PUT, "/v1/streams/new", &page).await.status, StatusCode::CREATED);
    let out = world.plain(Method::DELETE, "/v1/session", &page).await;
    assert!(out.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    world.clock.advance(std::time::Duration::from_hours(12));
    let late = world.plain(Method::GET, "/v1/session", &page).await;
    assert_eq!(late.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_form_of_another_site_cannot_sign_in() {
    let world = World::with(0).await;
    let body = format!(
        r#"{{"access_key_id": "{}", "secret_access_key": "{}"}}"#,
        world.root.access_key_id, world.root.secret
    );
    let request = Request::post("/v1/session").header("content-type", "text/plain");
    let answer = world.send(request.body(Body::from(body)).unwrap()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_link_signs_in_once() {
    let world = World::with(0).await;
    let app = &world.app;
    let link = app.sign_in_links.make(&*app.clock, &*app.entropy, &world.root.access_key_id);
    let answer = world.plain(Method::GET, &link, &[]).await;
    assert_eq!((answer.status, &answer.headers["location"]), (StatusCode::SEE_OTHER, &"/".parse().unwrap()));
    let cookie = cookie(&answer);
    let who = world.plain(Method::GET, "/v1/session", &[("cookie", &cookie)]).await;
    assert_eq!(who.status, StatusCode::OK);
    assert_eq!(world.plain(Method::GET, &link, &[]).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn without_credentials_a_browser_is_asked_to_sign_in() {
    let world = World::with(0).await;
    for (headers, status) in [
        (&[][..], StatusCode::FORBIDDEN),
        (&[("accept", "application/json")], StatusCode::FORBIDDEN),
        (&[("accept", "text/html,application/xhtml+xml")], StatusCode::UNAUTHORIZED),
        (&[("x-millrace-console", "1")], StatusCode::UNAUTHORIZED),
    ] {
        for path in ["/v1/streams", "/v1/streams/door/hls/index.m3u8", "/v1/openapi.json", "/v1/info"] {
            let answer = world.plain(Method::GET, path, headers).await;
            assert_eq!(answer.status, status, "{path} {headers:?}");
            assert!(!answer.refusal().is_empty());
        }
    }
}
