//! What models and trainings are made of, against PyTorch's numbers, as it runs eagerly and compiled: files of weights,
//! losses, layers, optimisers, batches of data,
//! and the structures that all of them are.

/// What an expression gives of some data, eagerly and compiled, each with the name of the mode. It is written once, and
/// stands in two closures: one of arrays, one of what is recorded.
macro_rules! both {
    ($data:expr, |$x:ident| $body:expr) => {{
        let data = $data;
        let eager = {
            let $x = data.clone();
            $body
        };
        let mut compiled = antiphon::compile("both", |$x| $body, &data).unwrap();
        [("eager", eager), ("compiled", compiled.call(&data).unwrap())]
    }};
}

mod ctc;
mod layers;
#[cfg(feature = "data")]
mod loader;
mod losses;
mod modes;
mod optimisers;
mod pretrained;
mod reference;
mod structures;
