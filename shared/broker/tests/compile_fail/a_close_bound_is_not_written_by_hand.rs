use domain::intent::CloseBound;

fn forge() -> CloseBound {
    CloseBound { quantity: 10 }
}

fn main() {}
