// What a plugin does beside answering: the handshake, health, and its end.
// Copy this file and plugin.proto.
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const { HealthImplementation } = require('grpc-health-check');

const DENY = -1;

// Answers calls by `call(request)`, which returns a response or a promise of
// one, until SIGTERM. `listen` is unix:/path or a loopback address; without it
// the plugin makes a Unix socket of its own.
function serve(call, listen) {
  if (!listen && process.env.MOSN_PLUGIN !== 'ON') {
    console.error('this is a plugin: name it in a configuration of Sidegate, or say where to --listen');
    process.exit(1);
  }
  // A folder of mode 0700: nobody else can connect, whatever the umask.
  const folder = listen ? undefined : fs.mkdtempSync(path.join(os.tmpdir(), 'plugin-'));
  const address = listen || `unix:${folder}/socket`;

  // Messages and services are made of the .proto file when the program starts.
  const definition = loader.loadSync(path.join(__dirname, 'plugin.proto'), { defaults: true });
  const { Plugin } = grpc.loadPackageDefinition(definition).proto;
  // Bodies may be larger than the 4 MiB that gRPC has as a bound; the listener bounds them.
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
  server.addService(Plugin.service, {
    async Call({ request }, reply) {
      try {
        reply(null, await call(request));
      } catch (error) {
        reply({ code: grpc.status.INTERNAL, details: error.message });
      }
    },
  });
  new HealthImplementation({ plugin: 'SERVING' }).addToServer(server);

  server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) {
      console.error(`[ERROR] ${error.message}`);
      process.exit(1);
    }
    const [kind, where] = address.startsWith('unix:')
      ? ['unix', address.slice('unix:'.length)]
      : ['tcp', `${address.slice(0, address.lastIndexOf(':'))}:${port}`];
    console.log(`1|1|${kind}|${where}|grpc`);
  });

  const end = () => {
    // Who still has a call after a second has lost it.
    setTimeout(() => server.forceShutdown(), 1000).unref();
    server.tryShutdown(() => {
      if (folder) fs.rmSync(folder, { recursive: true, force: true });
      process.exit(0);
    });
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
}

module.exports = { serve, DENY };
