//! The worker: by what it reads.

use protocol::config::{EncoderConfig, WorkerConfig};
use protocol::name::RingKind;
use worker::{Context, Fault, Step, Worker};

use crate::packets::Packets;
use crate::pictures::Pictures;

#[derive(Debug)]
pub(crate) enum EncoderWorker {
    Packets(Box<Packets>),
    Pictures(Box<Pictures>),
}

impl Worker for EncoderWorker {
    type Config = EncoderConfig;

    fn section(config: WorkerConfig) -> Option<EncoderConfig> {
        match config {
            WorkerConfig::Encoder(config) => Some(config),
            _ => None,
        }
    }

    fn start(config: EncoderConfig, cx: &mut Context) -> Result<Self, Fault> {
        let ([source], Some(contract)) = (cx.inputs(), cx.output()) else {
            return Err(Fault::contract(format!(
                "started with {} rings to read, expected one, and one to write",
                cx.inputs().len()
            )));
        };
        let (source, contract) = (source.clone(), contract.clone());
        match source.kind() {
            RingKind::Packets => {
                let packets = Packets::new(config, &source, contract, cx);
                Ok(Self::Packets(Box::new(packets)))
            }
            RingKind::Frames => {
                let pictures = Pictures::new(&config, &source, contract, cx);
                Ok(Self::Pictures(Box::new(pictures)))
            }
            RingKind::Events => Err(Fault::contract(format!(
                "started to read {source}; expected a ring of packets or frames"
            ))),
        }
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        match self {
            Self::Packets(packets) => packets.step(cx)?,
            Self::Pictures(pictures) => pictures.step(cx)?,
        }
        Ok(Step::Again)
    }

    fn stop(&mut self, cx: &mut Context) -> Result<(), Fault> {
        match self {
            Self::Packets(packets) => packets.stop(cx),
            Self::Pictures(pictures) => pictures.stop(cx),
        }
    }
}
