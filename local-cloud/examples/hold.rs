//! Starts the local cloud, prints where it is, and holds it until the process ends. To try things by hand, and to see that nothing is
//! left when it is killed.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use local_cloud::LocalCloud;

fn main() -> anyhow::Result<()> {
    let cloud = LocalCloud::start(&|step| eprintln!("{step} …"))?;
    for (name, value) in cloud.environment() {
        println!("{name}={value}");
    }
    println!("ready");
    loop {
        std::thread::park();
    }
}
