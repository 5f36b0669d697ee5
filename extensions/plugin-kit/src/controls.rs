//! What hosts ask of any plugin.

use std::time::Duration;

use sidegate_proto::go_plugin::Empty;
use sidegate_proto::go_plugin::grpc_controller_server::GrpcController;
use sidegate_proto::health::health_check_response::ServingStatus;
use sidegate_proto::health::health_server::Health;
use sidegate_proto::health::{HealthCheckRequest, HealthCheckResponse};
use tonic::{Request, Response, Status};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Controls;

#[tonic::async_trait]
impl Health for Controls {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        match &*request.get_ref().service {
            "" | "plugin" => Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() })),
            _ => Err(Status::not_found("no such service")),
        }
    }
}

#[tonic::async_trait]
impl GrpcController for Controls {
    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        tokio::spawn(async {
            // The answer goes out first.
            tokio::time::sleep(Duration::from_millis(5)).await;
            std::process::exit(0);
        });
        Ok(Response::new(Empty {}))
    }
}
