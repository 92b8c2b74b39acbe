//! Every operator of the language.

use antiphon::{Int, IntTensor, Mask, MaskTensor, OrRaise, Padding, Tensor, Window2d};

use crate::case::cases;

/// Indices of an array's largest elements along its last axis: they differ from row to row where it does.
fn largest<T: Tensor>(x: &T) -> T::Int {
    x.argmax(-1)
}

fn ints<T: Tensor>(shape: &[usize], elements: &[i64]) -> T::Int {
    T::Int::from_elements(shape, elements).or_raise()
}

fn window() -> Window2d {
    Window2d { stride: [2, 1], padding: [1, 0] }
}

fn one<T: Tensor>() -> T {
    T::constant(1.0)
}

cases! {
    twice: in_branch;
    add [&[2, 3], &[3]], |x| x[0].clone() + &x[1];
    sub [&[3], &[2, 3]], |x| x[0].clone() - &x[1];
    mul [&[2, 1], &[3]], |x| x[0].clone() * &x[1];
    div [&[2, 3], &[]], |x| x[0].clone() / &x[1];
    owned [&[2], &[2, 2]], |x| (x[0].clone() * x[1].clone() + x[1].clone()) / x[0].clone() - x[1].clone();
    numbers [&[2]], |x| (x[0].clone() * 2.0 + 1.0) / 3.0 - 0.5;
    neg [&[2]], |x| -x[0].clone();
    recip [&[2, 2]], |x| x[0].recip();
    abs [&[2]], |x| (x[0].clone() - 0.9).abs();
    sign [&[2]], |x| (x[0].clone() - 0.9).sign() * &x[0];
    exp [&[2]], |x| x[0].exp();
    expm1 [&[2]], |x| x[0].expm1();
    log [&[2]], |x| x[0].log();
    log1p [&[2]], |x| x[0].log1p();
    sqrt [&[2]], |x| x[0].sqrt();
    sin [&[2]], |x| x[0].sin();
    cos [&[2]], |x| x[0].cos();
    tan [&[2]], |x| (x[0].clone() * 0.5).tan();
    tanh [&[2]], |x| x[0].tanh();
    sigmoid [&[2]], |x| x[0].sigmoid();
    softplus [&[2]], |x| x[0].softplus();
    relu [&[4]], |x| (x[0].clone() - 0.9).relu() * &x[0];
    erf [&[2]], |x| x[0].erf();
    gelu [&[2]], |x| x[0].gelu();
    erfc [&[2]], |x| x[0].erfc();
    exp2 [&[2]], |x| x[0].exp2();
    log2 [&[2]], |x| x[0].log2();
    log10 [&[2]], |x| x[0].log10();
    cbrt [&[2]], |x| x[0].cbrt();
    sinh [&[2]], |x| x[0].sinh();
    cosh [&[2]], |x| x[0].cosh();
    atan [&[2]], |x| x[0].atan();
    asinh [&[2]], |x| x[0].asinh();
    lgamma [&[2]], |x| x[0].lgamma();
    digamma [&[2]], |x| x[0].digamma();
    i0 [&[2]], |x| x[0].i0();
    i1 [&[2]], |x| x[0].i1();
    sinc [&[2]], |x| x[0].sinc();
    asin [&[2]], |x| (x[0].clone() * 0.5).asin();
    acos [&[2]], |x| (x[0].clone() * 0.5).acos();
    atanh [&[2]], |x| (x[0].clone() * 0.5).atanh();
    acosh [&[2]], |x| (x[0].clone() + 1.0).acosh();
    polygamma [&[2]], |x| x[0].polygamma(2);
    roundings [&[4]], |x| {
        (x[0].floor() + x[0].ceil() * 2.0 + (x[0].clone() * 3.0).round() + (x[0].clone() * 5.0).trunc()) * &x[0]
    };
    nan_to_num [&[4]], |x| (x[0].clone() - 0.9).log().nan_to_num(0.5, 1.0, 2.0) * &x[0];
    atan2 [&[2, 3], &[3]], |x| x[0].atan2(&x[1]);
    hypot [&[2, 3], &[3]], |x| x[0].hypot(&x[1]);
    logaddexp [&[2, 3], &[3]], |x| x[0].logaddexp(&x[1]);
    xlogy [&[2, 3], &[3]], |x| x[0].xlogy(&x[1]);
    remainders [&[2, 3], &[3]], |x| (x[0].fmod(&x[1]) + (-x[0].clone()).remainder(&x[1])) * &x[0];
    powi [&[2]], |x| x[0].powi(3) + x[0].powi(-2) + x[0].powi(0);
    pow [&[2, 3], &[3]], |x| x[0].pow(&x[1]);
    strong_mul [&[2, 3], &[3]], |x| x[0].strong_mul(&x[1]) * &x[0];
    maximum [&[2, 3], &[3]], |x| x[0].maximum(&x[1]) * &x[0];
    minimum [&[2, 3], &[2, 1]], |x| x[0].minimum(&x[1]) * &x[0];
    clamp [&[6]], |x| x[0].clamp(0.5, 1.2) * &x[0];
    square [&[2]], |x| x[0].square();
    scale [&[2]], |x| x[0].clone().scale(3.0).offset(1.0);
    detach [&[2]], |x| x[0].detach() * &x[0];
    likes [&[2]], |x| (x[0].zeros_like() + x[0].ones_like() + x[0].full_like(0.5)) * &x[0];
    named [&[2]], |x| x[0].square().named("squares");
    less [&[2, 3], &[3]], |x| T::select(&x[0].less(&x[1]), &x[0].square(), &x[1]);
    less_equal [&[3], &[2, 3]], |x| T::select(&x[0].less_equal(&x[1]), &x[0], &x[1].square());
    equal [&[3]], |x| T::select(&x[0].sign().equal(&T::constant(1.0)), &x[0].square(), &T::constant(0.0));
    greater [&[], &[3]], |x| T::select(&x[0].greater(&x[1]), &x[0], &x[1].square());
    greater_equal [&[], &[3]], |x| T::select(&x[0].greater_equal(&x[1]), &x[0], &x[1].square());
    not_equal [&[2], &[2]], |x| T::select(&x[0].not_equal(&x[1]), &x[0], &x[1].square());
    select [&[3], &[2, 1], &[]], |x| T::select(&x[0].less(&one()), &x[1], &x[2]);
    and_or_not [&[2, 3], &[3]], |x| {
        let (a, b) = (x[0].less(&one()), x[1].less(&one()));
        let mask = a.and(&b).or(&b.not().and(&a.not()));
        T::select(&mask, &x[0], &x[1].square())
    };
    any [&[4], &[4]], |x| T::select(&x[0].less(&T::constant(0.0)).any(), &x[0], &x[1].square());
    mask_reshape [&[2, 3], &[3, 2]], |x| T::select(&x[0].less(&one()).reshape(&[3, 2]), &x[1], &x[1].square());
    mask_shape [&[2, 3]], |x| T::full(&x[0].less(&one()).shape(), 2.0) * &x[0];
    from_mask [&[2, 3], &[3]], |x| T::from_mask(&x[0].less(&one())) * &x[1];
    from_int [&[2, 3], &[2]], |x| T::from_int(&largest(&x[0])) * &x[1];
    int_arithmetic [&[2, 3], &[2]], |x| {
        let i = largest(&x[0]) * ints::<T>(&[2], &[2, 3]) + T::Int::constant(1);
        T::from_int(&(i - ints::<T>(&[], &[2]))) * &x[1]
    };
    int_comparison [&[2, 3], &[2, 3]], |x| {
        let (i, j) = (largest(&x[0]), largest(&x[1]));
        let mask = i.less(&j).or(&i.equal(&j));
        T::select(&mask, &x[0].sum(1), &x[1].mean(1))
    };
    int_quotients [&[2, 3], &[2]], |x| {
        let (i, j) = (largest(&x[0]) * ints::<T>(&[2], &[2, -3]), largest(&x[0]) - ints::<T>(&[], &[1]));
        let of_both = i.floor_divide(&j) + i.remainder(&j) * ints::<T>(&[], &[100]);
        T::from_int(&(of_both + i.maximum(&j) - i.minimum(&j) - -i.abs())) * &x[1]
    };
    to_int [&[4], &[4]], |x| T::from_int(&(x[0].clone() * 3.0).to_int()) * &x[1];
    int_select [&[2, 3], &[2]], |x| {
        let i = T::Int::select(&x[1].less(&one()), &largest(&x[0]), &ints::<T>(&[], &[7]));
        T::from_int(&i) * &x[1]
    };
    int_shapes [&[2, 3], &[3, 2]], |x| {
        let i = largest(&x[0]).reshape(&[2, 1]).slice(0, 1..2);
        T::full(&i.shape(), 2.0) * x[1].gather_rows(&i).sum(..)
    };
    int_gather [&[4, 3], &[2, 4], &[2]], |x| {
        T::from_int(&largest(&x[0]).gather_rows(&largest(&x[1]))) * &x[2]
    };
    full [&[2]], |x| T::full(&[3, 2], 2.0) * &x[0] + T::zeros(&[2]) + T::ones(&[2]);
    from_elements [&[2]], |x| T::from_elements(&[2], &[1.0, 2.0]).or_raise() * &x[0];
    uniform [&[3], &[4]], |x| T::uniform(&[4], &largest(&x[0])) * &x[1];
    dropout [&[3], &[8]], |x| x[1].dropout(0.5, &largest(&x[0]));
    reshape [&[2, 3]], |x| x[0].reshape(&[3, 2]).square();
    permute [&[2, 3, 2]], |x| x[0].permute(&[2, 0, 1]).square();
    transpose [&[2, 3]], |x| x[0].transpose().square();
    unsqueeze [&[2]], |x| x[0].unsqueeze(-1).unsqueeze(0).square();
    broadcast_to [&[2, 1], &[3]], |x| x[0].broadcast_to(&[2, 2, 3]) * x[1].broadcast_to(&[2, 3]);
    sum [&[2, 3, 2]], |x| x[0].sum([0, -1]).square();
    sum_all [&[2, 3]], |x| x[0].sum(..).square();
    mean_var [&[2, 3]], |x| x[0].mean(0).sum(..) + x[0].var(-1);
    max [&[2, 3]], |x| x[0].max(-1).square();
    min [&[2, 3]], |x| x[0].min(..).square();
    logsumexp [&[2, 3]], |x| x[0].logsumexp(0).square();
    argmax [&[3, 2], &[2]], |x| T::from_int(&x[0].argmax(0)) * &x[1];
    batch_matmul [&[2, 2, 3], &[3, 2]], |x| x[0].batch_matmul(&x[1]);
    batch_matmul_broadcast [&[2, 1, 2, 2], &[3, 2, 2]], |x| x[0].batch_matmul(&x[1]);
    matmul [&[2, 3], &[3, 4]], |x| x[0].matmul(&x[1]);
    matmul_vectors [&[3], &[3]], |x| x[0].matmul(&x[1]);
    matmul_vector_matrix [&[2], &[2, 3]], |x| x[0].matmul(&x[1]);
    matmul_matrix_vector [&[2, 3], &[3]], |x| x[0].matmul(&x[1]);
    concat [&[2, 1], &[2, 3]], |x| T::concat(&[x[0].clone(), x[1].square(), T::ones(&[2, 1])], -1);
    stack [&[2], &[2]], |x| T::stack(&[x[0].clone(), x[1].square()], 1);
    split [&[5]], |x| { let parts = x[0].split(&[2, 3], 0); parts[0].square().sum(..) * &parts[1] };
    slice [&[2, 5]], |x| x[0].slice(1, 1..4).square() * x[0].slice_step(-1, 0..5, 2);
    index [&[3, 2]], |x| x[0].index(0, 1) * x[0].index(0, 2);
    pad [&[2, 2]], |x| x[0].square().pad(-1, Padding { before: 1, after: 2, interior: 1 });
    flip [&[2, 3]], |x| x[0].flip(-1) * &x[0];
    gather_rows [&[3, 2], &[2, 2, 3]], |x| x[0].gather_rows(&largest(&x[1])).square();
    gather_row [&[3], &[3]], |x| x[0].gather_rows(&largest(&x[1])).square();
    scatter_rows [&[2, 3], &[2, 3]], |x| x[0].scatter_rows(&largest(&x[1]), 3).square();
    set_rows [&[3, 2], &[2, 2], &[2, 3]], |x| x[0].clone().at(&largest(&x[2])).set(&x[1]).square();
    add_rows [&[3, 2], &[2, 2], &[2, 3]], |x| x[0].clone().at(&largest(&x[2])).add(&x[1]).square();
    set_elements [&[2, 3], &[2], &[2, 3]], |x| x[0].clone().at((1, &largest(&x[2]))).set(&x[1]).square();
    read_elements [&[2, 3], &[2, 3]], |x| x[0].clone().at((.., &largest(&x[1]))).get().square();
    gather_last [&[2, 3], &[2, 3]], |x| x[0].gather_last(&largest(&x[1])).square();
    scatter_last [&[2], &[2, 3]], |x| x[0].scatter_last(&largest(&x[1]), 3).square();
    softmax [&[2, 3]], |x| x[0].softmax(-1) * x[0].log_softmax(0);
    cross_entropy [&[2, 3], &[2, 3]], |x| x[0].cross_entropy(&largest(&x[1]));
    conv2d [&[2, 2, 4, 3], &[3, 2, 2, 2]], |x| x[0].conv2d(&x[1], window());
    conv2d_image [&[2, 3, 3, 2], &[3, 2, 2, 2]], |x| x[0].conv2d_image(&x[1], [4, 3], window());
    conv2d_kernel [&[2, 2, 4, 3], &[2, 3, 3, 2]], |x| x[0].conv2d_kernel(&x[1], [2, 2], window());
    unfold2d [&[2, 2, 4, 3]], |x| x[0].unfold2d([2, 2], window()).square();
    fold2d [&[1, 2, 4, 3, 2]], |x| x[0].fold2d([4, 3], [2, 2], window()).square();
    max_pool2d [&[1, 2, 4, 3]], |x| x[0].max_pool2d([2, 2], window());
    avg_pool2d [&[1, 2, 4, 3]], |x| x[0].avg_pool2d([2, 2], Window2d { stride: [1, 1], padding: [0, 0] });
    shape_rank_size [&[2, 3]], |x| x[0].clone() * (x[0].shape()[1] * x[0].rank() * x[0].size()) as f64;
}
