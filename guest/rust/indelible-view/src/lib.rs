//! What a view in Rust is written with: a type that is an [`AuditView`], and [`export!`] with its name.
//! `docs/views.md` shows it from the first line on.

mod event;
mod keeping;
mod life;
mod parameters;
mod question;
mod reading;
mod times;

pub use event::{Event, Form, Mark};
pub use life::{AuditView, Life, Log, Refusal};
pub use parameters::Parameter;
pub use question::{Answer, Question, Window};
pub use serde_json::{Map, Value};
pub use times::to_iso;

/// A JSON object; its members are in the order in which they stand.
pub type Object = Map<String, Value>;

#[allow(missing_docs, unsafe_code)] // generated; wit/view.wit documents it
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit/view.wit",
        world: "audit-view",
        pub_export_macro: true,
        export_macro_name: "export_view",
        default_bindings_module: "indelible_view::bindings",
    });
}

/// Exports a type as the component's view.
#[macro_export]
macro_rules! export {
    ($view:ty) => {
        struct Exported;

        ::std::thread_local!(
            static LIFE: ::std::cell::RefCell<$crate::Life<$view>> =
                ::std::cell::RefCell::new($crate::Life::new());
        );

        const _: () = {
            use $crate::bindings::exports::indelible::view::view as wit;

            impl wit::Guest for Exported {
                fn describe() -> String {
                    $crate::Life::<$view>::describe()
                }

                fn init(config: String, facts: Vec<(String, String)>) -> Result<(), String> {
                    LIFE.with_borrow_mut(|life| life.init(&config, facts))
                }

                fn append(events: wit::Batch) -> Result<(), String> {
                    LIFE.with_borrow_mut(|life| life.append(events))
                }

                fn query(request: wit::Request) -> Result<wit::Answer, wit::Refusal> {
                    LIFE.with_borrow(|life| life.query(request))
                }

                fn snapshot(part: u32) -> Option<String> {
                    LIFE.with_borrow_mut(|life| life.snapshot(part))
                }

                fn restore(part: u32, text: String, last: bool) -> Result<(), String> {
                    LIFE.with_borrow_mut(|life| life.restore(part, &text, last))
                }
            }
        };

        $crate::bindings::export_view!(Exported with_types_in $crate::bindings);
    };
}
