//! People sign in with providers in the shape of Okta and Entra ID.

use crate::harness::console::{Browser, Page};
use crate::harness::emulated::Shape;
use crate::harness::{Plan, ROW, World};

const WRITE: &str = "UPDATE customers SET credit_limit = 900 WHERE id = 3";
/// The emulators know no second factor: here policy asks for none.
const NO_SECOND_FACTOR: &str = r#"
@id("ask") permit (principal, action, resource);
@id("one-dba")
@review("one DBA")
forbid (principal, action == Action::"sql:write", resource) unless { context.approvals.contains(Quorum::"dba:1") };
"#;

fn signed_in(world: &World) -> (Browser, Page) {
    let mut browser = Browser::new(world);
    let page = browser.sign_in_at_form("gil@example.org");
    assert_eq!(page.status, 200, "{}", page.text);
    (browser, page)
}

#[test]
fn by_okta_with_its_groups() {
    let world = Plan::default().emulated(Shape::Okta).only_policies(NO_SECOND_FACTOR).start();
    let (call, review) = world.paused(WRITE);
    let (gil, me) = signed_in(&world);
    assert!(me.text.contains("dba") && me.text.contains("00u_gil"), "{}", me.text);
    let page = gil.vote(&review, "approve");
    assert_eq!(page.status, 303, "{}", page.text);
    assert_eq!(call.outcome().rows(), 1);
    assert_eq!(world.truth(ROW), "900");
}

/// Without the optional claims that the guide names, nobody is in a group, and nothing is known of when they signed in.
#[test]
fn by_entra_as_it_is_without_optional_claims() {
    let world = Plan::default().emulated(Shape::Entra).only_policies(NO_SECOND_FACTOR).start();
    let (mut call, review) = world.paused(WRITE);
    let (gil, me) = signed_in(&world);
    assert!(me.text.contains("none; no review can ask you"), "{}", me.text);
    assert!(me.text.contains("does not say when"), "{}", me.text);
    let page = gil.vote_with(&review, "approve", &gil.csrf("/me"));
    assert!(page.status == 403 && page.text.contains("not_a_reviewer"), "{}", page.text);
    assert!(!call.answered());
}
