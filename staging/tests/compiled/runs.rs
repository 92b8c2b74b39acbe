//! What happens around compiled code: deep recursion, errors, updates in place, the cache, threads.

use crate::common::{f64s, power, scalar, tower};
use antiphon_staging::jit::cache::{self, Cache, Limits, Object};
use antiphon_staging::*;
use antiphon_staging::{Elements, ElementsMut};

fn compiled(program: &Program) -> CompiledProgram {
    compile(program, &CompileOptions::default()).unwrap()
}

/// `sum` of a vector's elements that recursion visits one by one, each level holding an array: `n` levels.
fn deep() -> Program {
    let b = Builder::new("deep");
    let (x, n) = (b.input("x", f64s(&[100])), b.input("n", Type::scalar(Dtype::I64)));
    let integer = Type::scalar(Dtype::I64);
    let down = b
        .function(
            Signature::new("down", &[f64s(&[100]), integer], &[f64s(&[100])]),
            &[],
            |down, params, _| {
                let (x, i) = (params[0], params[1]);
                let more = b.less(b.literal(Scalar::I64(0)), i)?;
                b.if_else(
                    more,
                    || {
                        let y = b.add(x, b.real(Dtype::F64, 1.0))?;
                        let fewer = b.binary(Binary::Sub, i, b.literal(Scalar::I64(1)))?;
                        let below = b.call(Target::Func(down), &[y, fewer], &[])?;
                        Ok(vec![b.add(below[0], y)?])
                    },
                    || Ok(vec![x]),
                )
            },
        )
        .unwrap();
    let y = b.call(Target::Func(down), &[x, n], &[]).unwrap();
    b.finish(&y).unwrap()
}

fn levels(n: i64) -> [ConcreteTensor; 2] {
    [ConcreteTensor::fill(&[100], Scalar::F64(0.0)), n.into()]
}

#[test]
fn a_million_nested_continuations_run_and_a_small_stack_is_an_error_after_which_the_next_call_works() {
    let program = power();
    let deep = |n: i64| [ConcreteTensor::from(1.0), n.into()];
    assert_eq!(compiled(&program).run(&deep(1_000_000)), Ok(vec![1.0.into()]));
    let options = CompileOptions { stack_bytes: Some(1 << 20), ..CompileOptions::default() };
    let mut small = compile(&program, &options).unwrap();
    let exhausted = Error::StackExhausted { what: "stack", bytes: 1 << 20, by: Limit::Size };
    for _ in 0..3 {
        assert_eq!(small.run(&deep(1_000_000)), Err(exhausted.clone()));
        assert_eq!(small.run(&[2.0.into(), 10i64.into()]), Ok(vec![1024.0.into()]));
    }
    assert!(exhausted.to_string().contains("CompileOptions::stack_bytes"));
}

#[test]
fn arrays_of_recursive_functions_live_in_an_arena_whose_end_is_an_error() {
    let program = deep();
    let mut whole = compiled(&program);
    assert_eq!(whole.run(&levels(4)), interpret(&program, &levels(4)));
    assert_eq!(whole.run(&levels(10_000)).unwrap()[0].at(7), Scalar::F64(50_015_000.0));
    let options = CompileOptions { arena_bytes: Some(1 << 20), ..CompileOptions::default() };
    let mut small = compile(&program, &options).unwrap();
    let error = small.run(&levels(10_000)).unwrap_err();
    assert!(matches!(error, Error::StackExhausted { what: "arena", .. }), "{error}");
    assert_eq!(small.run(&levels(4)), whole.run(&levels(4)));
}

#[test]
fn an_index_out_of_range_is_an_error_and_nothing_is_written() {
    let b = Builder::new("gather");
    let (x, i) = (b.input("x", f64s(&[3, 2])), b.input("i", Type::new(Dtype::I64, &[2])));
    let doubled = b.add(x, x).unwrap();
    let rows = b.emit(Expr::GatherRows { x: doubled, indices: i }).unwrap();
    let program = b.finish(&[doubled, rows]).unwrap();
    let mut gather = compiled(&program);
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let (mut all, mut some) = ([0.0; 6], [0.0; 4]);
    let mut run = |indices: &[i64; 2]| {
        let inputs = [Some(Elements::F64(&x)), Some(Elements::I64(indices))];
        let result = gather.run_into(inputs, [ElementsMut::F64(&mut all), ElementsMut::F64(&mut some)]);
        (result, all, some)
    };
    for bad in [3, -1, i64::MIN] {
        let error = Error::Index { op: "gather_rows", index: bad, length: 3, at: None };
        assert_eq!(run(&[0, bad]), (Err(error), [0.0; 6], [0.0; 4]));
    }
    assert_eq!(run(&[2, 0]), (Ok(()), [2.0, 4.0, 6.0, 8.0, 10.0, 12.0], [10.0, 12.0, 2.0, 4.0]));
}

#[test]
fn outputs_may_be_written_over_inputs_even_crosswise() {
    let b = Builder::new("swap");
    let (x, y) = (b.input("x", f64s(&[40])), b.input("y", f64s(&[40])));
    let sum = b.add(x, y).unwrap();
    let program = b.finish(&[y, x, sum]).unwrap();
    let options = CompileOptions { updates: vec![(0, 0), (1, 1)], ..CompileOptions::default() };
    let mut swap = compile(&program, &options).unwrap();
    let (mut x, mut y, mut sum) = ([1.0; 40], [2.0; 40], [0.0; 40]);
    for _ in 0..3 {
        let outputs = [ElementsMut::F64(&mut x), ElementsMut::F64(&mut y), ElementsMut::F64(&mut sum)];
        swap.run_into([None, None], outputs).unwrap();
    }
    assert_eq!((x, y, sum), ([2.0; 40], [1.0; 40], [3.0; 40]));
    let wrong = CompileOptions { updates: vec![(0, 7)], ..CompileOptions::default() };
    assert!(matches!(compile(&program, &wrong).map(drop), Err(Error::Types { .. })));
}

/// Of a state, part of which no step changes.
#[test]
fn what_stays_as_it_was_is_where_it_belongs() {
    let b = Builder::new("stays");
    let (x, n, y) = (b.input("x", f64s(&[40])), b.input("n", f64s(&[])), b.input("y", f64s(&[40])));
    let sum = b.add(x, y).unwrap();
    let program = b.finish(&[x, n, sum, x]).unwrap();
    let options = CompileOptions { updates: vec![(0, 0), (1, 1), (2, 2)], ..CompileOptions::default() };
    let mut step = compile(&program, &options).unwrap();
    let (mut x, mut n, mut y, mut also) = ([1.0; 40], [7.0], [2.0; 40], [0.0; 40]);
    for _ in 0..3 {
        let outputs = [&mut x[..], &mut n, &mut y, &mut also].map(ElementsMut::F64);
        step.run_into([None, None, None], outputs).unwrap();
    }
    assert_eq!((x, n, y, also), ([1.0; 40], [7.0], [5.0; 40], [1.0; 40]));
    let inputs = [(&[40][..], vec![3.0; 40]), (&[], vec![9.0]), (&[40], vec![0.5; 40])];
    let inputs = inputs.map(|(shape, elements)| ConcreteTensor::new(shape, elements).unwrap());
    assert_eq!(step.run(&inputs).unwrap(), interpret(&program, &inputs).unwrap());
}

#[test]
fn what_is_written_over_an_input_is_written_after_all_has_been_read() {
    let b = Builder::new("update");
    let [x, y, z] = ["x", "y", "z"].map(|name| b.input(name, f64s(&[5, 5])));
    let turned = b.emit(Expr::Permute(x, [1, 0].as_slice().into())).unwrap();
    let flat = b.emit(Expr::Reshape(y, [25].as_slice().into())).unwrap();
    let one = b.real(Dtype::F64, 1.0);
    let results = [
        // Others read x turned and y in another shape, and nobody but what goes over it reads z.
        b.mul(x, x),
        b.add(b.mul(x, y).unwrap(), turned),
        b.add(b.mul(z, x).unwrap(), z),
        b.add(flat, one),
        b.add(b.mul(z, z).unwrap(), y),
    ];
    let program = b.finish(&results.map(|v| v.unwrap())).unwrap();
    let options = CompileOptions { updates: vec![(0, 0), (1, 1), (2, 2)], ..CompileOptions::default() };
    for strict in [false, true] {
        let mut update = compile(&program, &CompileOptions { strict, ..options.clone() }).unwrap();
        let elements = |seed: usize| (0..25).map(|i| ((i + seed) * 7 % 11) as f64).collect::<Vec<f64>>();
        let mut found = [elements(1), elements(2), elements(3), vec![0.0; 25], vec![0.0; 25]];
        let inputs = [0, 1, 2].map(|i| ConcreteTensor::new(&[5, 5], found[i].clone()).unwrap());
        update.run_into([None, None, None], found.iter_mut().map(|x| ElementsMut::F64(x))).unwrap();
        let expected = interpret(&program, &inputs).unwrap();
        for (i, (expected, found)) in expected.iter().zip(found).enumerate() {
            assert_eq!(*expected, ConcreteTensor::new(expected.shape(), found).unwrap(), "output {i}");
        }
    }
}

#[test]
fn what_a_nested_function_reads_keeps_its_memory_under_another_shape() {
    let b = Builder::new("captured");
    let x = b.input("x", f64s(&[2, 3]));
    let y = b.emit(Expr::Matmul(x, b.emit(Expr::Permute(x, [1, 0].as_slice().into())).unwrap())).unwrap();
    // Nothing but the nested function reads it.
    let flat = b.emit(Expr::Reshape(y, [4].as_slice().into())).unwrap();
    let signature = Signature::new("read", &[f64s(&[4])], &[f64s(&[4])]);
    let read = b.function(signature, &[], |_, other, _| Ok(vec![b.mul(flat, other[0])?])).unwrap();
    let other = b.emit(Expr::Fill { value: Scalar::F64(2.0), shape: [2, 3].as_slice().into() }).unwrap();
    let sum =
        b.emit(Expr::Matmul(x, b.emit(Expr::Permute(other, [1, 0].as_slice().into())).unwrap())).unwrap();
    let sum = b.emit(Expr::Reshape(sum, [4].as_slice().into())).unwrap();
    let product = b.call(Target::Func(read), &[sum], &[]).unwrap();
    let program = b.finish(&product).unwrap();
    let x = ConcreteTensor::new(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let reference = interpret(&program, std::slice::from_ref(&x));
    assert_eq!(compiled(&program).run(&[x]), reference);
}

#[test]
fn inputs_of_other_types_are_refused() {
    let mut tower = compiled(&tower(2));
    assert!(matches!(tower.run(&[1f32.into()]), Err(Error::Types { .. })));
    let mut y = [0.0];
    let two = Some(Elements::F64(&[1.0, 2.0]));
    assert!(tower.run_into([two], [ElementsMut::F64(&mut y)]).is_err());
    let none: Option<Elements<'_>> = None;
    assert!(tower.run_into([none], [ElementsMut::F64(&mut y)]).is_err(), "nothing updates the input");
}

#[test]
fn denormals_are_flushed_only_if_asked_and_only_meanwhile() {
    let b = Builder::new("tiny");
    let x = b.input("x", scalar());
    let y = b.mul(x, b.real(Dtype::F64, 0.5)).unwrap();
    let program = b.finish(&[y]).unwrap();
    let tiny = std::hint::black_box(f64::MIN_POSITIVE);
    let options = CompileOptions { flush_denormals: true, ..CompileOptions::default() };
    assert_eq!(compile(&program, &options).unwrap().run(&[tiny.into()]), Ok(vec![0.0.into()]));
    assert!(tiny * 0.5 > 0.0);
    assert_eq!(compiled(&program).run(&[tiny.into()]), Ok(vec![(tiny * 0.5).into()]));
}

#[test]
fn code_is_cached_by_what_it_depends_on_and_a_damaged_file_is_not_used() {
    let directory = std::env::temp_dir().join(format!("antiphon-cache-{}", std::process::id()));
    let options = CompileOptions { cache: Some(directory.clone()), ..CompileOptions::default() };
    let cached = |program: &Program, options: &CompileOptions| {
        let mut compiled = compile(program, options).unwrap();
        assert_eq!(compiled.run(&[0.3.into()]), interpret(program, &[0.3.into()]));
        compiled.was_cached()
    };
    assert_eq!([(); 2].map(|()| cached(&tower(3), &options)), [false, true]);
    assert!(!cached(&tower(4), &options));
    assert!(!cached(&tower(3), &CompileOptions { strict: true, ..options.clone() }));
    // What may lie in place of a file, made of the bytes that belong there.
    type Damage = fn(Vec<u8>) -> Vec<u8>;
    let damages: [(&str, Damage); 7] = [
        ("nothing", |_| vec![]),
        ("another file", |_| b"#!/bin/sh\n".repeat(1000)),
        ("a first part", |bytes| bytes[..20].to_vec()),
        ("half", |bytes| bytes[..bytes.len() / 2].to_vec()),
        ("all but the end", |bytes| bytes[..bytes.len() - 9].to_vec()),
        ("more", |bytes| [&bytes[..], &bytes[..]].concat()),
        ("a flipped bit", |mut bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            bytes
        }),
    ];
    let files =
        || -> Vec<_> { std::fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path()).collect() };
    for (what, damage) in damages {
        for path in files() {
            std::fs::write(&path, damage(std::fs::read(&path).unwrap())).unwrap();
        }
        assert_eq!([(); 2].map(|()| cached(&tower(3), &options)), [false, true], "{what}");
        assert_eq!([(); 2].map(|()| cached(&tower(4), &options)), [false, true], "{what}");
    }
    // Intact code of another program, in the place of this one's.
    let key = |n: usize| cache::key(&tower(n), &options);
    let file = |n: usize| directory.join(format!("{}.o", key(n)));
    std::fs::copy(file(4), file(3)).unwrap();
    assert_eq!([(); 2].map(|()| cached(&tower(3), &options)), [false, true]);
    // What was stored as it should be and is no code.
    let object = Object { code: b"no object code".repeat(100), arena: 64 };
    let cache = Cache::open(&directory, Limits::default()).unwrap();
    cache.write(&key(3), &object).unwrap();
    assert_eq!(cache.read(&key(3)), Some(object));
    assert_eq!([(); 2].map(|()| cached(&tower(3), &options)), [false, true]);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_cache_that_can_be_neither_read_nor_written_is_as_good_as_none() {
    let file = std::env::temp_dir().join(format!("antiphon-no-directory-{}", std::process::id()));
    std::fs::write(&file, "a file, where the directory should be").unwrap();
    let below = file.join("cache");
    let at_file = std::env::temp_dir().join(format!("antiphon-directories-{}", std::process::id()));
    // A directory where the code's file should be.
    std::fs::create_dir_all(at_file.join(format!("{}.o", cache::key(&tower(3), &CompileOptions::default()))))
        .unwrap();
    // Where nobody, however privileged, can make a file.
    let unwritable = std::path::PathBuf::from("/proc/self");
    for directory in [&file, &below, &at_file, &unwritable] {
        let options = CompileOptions { cache: Some(directory.clone()), ..CompileOptions::default() };
        for _ in 0..2 {
            let mut compiled = compile(&tower(3), &options).unwrap();
            assert!(!compiled.was_cached());
            assert_eq!(compiled.run(&[0.3.into()]), interpret(&tower(3), &[0.3.into()]));
        }
    }
    assert_eq!(std::fs::read_dir(&at_file).unwrap().count(), 1, "no temporary file is left");
    std::fs::remove_file(file).unwrap();
    std::fs::remove_dir_all(at_file).unwrap();
}

#[test]
fn a_compiled_program_can_be_moved_to_another_thread_with_a_small_stack() {
    let mut power = compiled(&power());
    let thread = std::thread::Builder::new().stack_size(64 << 10);
    let deep = move || power.run(&[1.0.into(), 300_000i64.into()]);
    assert_eq!(thread.spawn(deep).unwrap().join().unwrap(), Ok(vec![1.0.into()]));
}

#[test]
fn code_for_another_machine_is_an_error_and_does_not_run() {
    use antiphon_staging::jit::processor::Processor;
    let foreign = |change: &dyn Fn(&mut Processor)| {
        let mut options = CompileOptions::default();
        change(&mut options.target);
        let refused = compile(&tower(3), &options).err();
        let refused = refused.unwrap_or_else(|| panic!("{:?} is not this machine", options.target));
        assert!(matches!(refused, Error::Target(_)), "{refused}");
    };
    foreign(&|target| target.triple = "riscv64-unknown-linux-gnu".into());
    foreign(&|target| target.cpu = "a processor that nobody makes".into());
    foreign(&|target| target.features += ",+a-feature-that-nobody-has");
    foreign(&|target| target.vector_bits = 0);
    foreign(&|target| target.vector_registers = 1 << 20);
}

#[test]
fn the_code_can_be_read() {
    let program = tower(1);
    let tower = compiled(&program);
    assert!(tower.llvm_ir().unwrap().contains("define void @antiphon_entry"));
    assert!(tower.assembly().unwrap().contains("antiphon_entry:"));
}

#[test]
fn code_grows_linearly_with_nested_branches() {
    let size = |n: usize| compiled(&tower(n)).llvm_ir().unwrap().lines().count();
    let (ten, twenty) = (size(10), size(20));
    assert!(twenty < 5 * ten / 2, "{ten} lines became {twenty}");
}

#[test]
fn products_of_all_shapes_and_layouts_agree_with_the_interpreter() {
    for (m, n, k) in
        [(1, 1, 1), (7, 50, 13), (20, 50, 50), (6, 64, 9), (13, 17, 33), (1, 150, 40), (40, 1, 30)]
    {
        for layout in 0..4 {
            let b = Builder::new("product");
            let shape = |rows: usize, columns: usize, flip: bool| {
                Type::new(Dtype::F32, &if flip { [columns, rows] } else { [rows, columns] })
            };
            let (ta, tb) = (layout & 1 == 1, layout & 2 == 2);
            let types = [shape(m, k, ta), shape(k, n, tb)];
            let (a, w) = (b.input("a", types[0].clone()), b.input("b", types[1].clone()));
            let turned = |x: Value, turn: bool| {
                let order = [1, 0].as_slice().into();
                if turn { b.emit(Expr::Permute(x, order)).unwrap() } else { x }
            };
            let (a, w) = (turned(a, ta), turned(w, tb));
            let y = b.emit(Expr::Matmul(a, w)).unwrap();
            let cell = b.cell(b.ty(y));
            b.accumulate(cell, y).unwrap();
            b.update(cell, Update::Matmul(a, w)).unwrap();
            let twice = b.take(cell);
            let program = b.finish(&[y, twice]).unwrap();
            let fill = |ty: &Type, seed: usize| {
                let element = |i: usize| ((i * 37 + seed * 11) % 19) as f32 - 9.0;
                ConcreteTensor::new(&ty.shape, (0..ty.size()).map(element).collect::<Vec<f32>>()).unwrap()
            };
            let inputs = [fill(&types[0], 1), fill(&types[1], 2)];
            // Products of small integers are exact in any order.
            assert_eq!(compiled(&program).run(&inputs), interpret(&program, &inputs), "{m}×{n}×{k} {layout}");
        }
    }
}
