import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { KMSClient } from '@aws-sdk/client-kms';
import type { KMSClientConfig } from '@aws-sdk/client-kms';
import { ensurePythonEnv } from '../../scripts/python-env.mjs';

/** A stand-in for AWS KMS in a process of its own, spoken to over HTTP. */
export interface KmsServer {
  readonly config: KMSClientConfig;
  readonly client: KMSClient;
  stop(): Promise<void>;
}

const SCRIPT = `
import logging, sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
`;

export async function startKms(): Promise<KmsServer> {
  const child = spawn(await ensurePythonEnv('kms'), ['-c', SCRIPT], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = (await once(createInterface(child.stdout), 'line')) as [string];
  const config = {
    endpoint: `http://127.0.0.1:${port}`,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  };
  const client = new KMSClient(config);
  return {
    config,
    client,
    async stop() {
      client.destroy();
      if (child.exitCode === null && child.kill()) await once(child, 'exit');
    },
  };
}
