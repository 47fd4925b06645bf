use domain::ticket::BoundedRisk;

fn twice(risk: &BoundedRisk) -> BoundedRisk {
    risk.clone()
}

fn main() {}
