//! The binary `claxton`.

fn main() -> std::process::ExitCode {
    local::cli::main()
}
