/**
 * What Stryker needs of this project: a test runner for the installed mocha, whose own plugin wants an older one, and a
 * reporter that writes docs/RELIABILITY.md's section. Used by config/stryker.json.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import type { StrykerOptions } from '@stryker-mutator/api/core';
import { commonTokens, declareClassPlugin, PluginKind, tokens } from '@stryker-mutator/api/plugin';
import type { Reporter } from '@stryker-mutator/api/report';
import {
  type DryRunOptions,
  type DryRunResult,
  DryRunStatus,
  determineHitLimitReached,
  type MutantRunOptions,
  type MutantRunResult,
  type TestResult,
  type TestRunner,
  TestStatus,
  toMutantRunResult,
} from '@stryker-mutator/api/test-runner';
import Mocha from 'mocha';
import { withSection } from '#src/operations/reliability-document.js';
import { PARTS } from '../faults/parts.js';
import { SECTION as MUTANTS_SECTION } from '../mutants/report.js';
import { type ModuleScore, mutationSection, SECTION, type Survivor, withScores } from './report.js';

/** What the instrumented code reads and writes, on the global object. */
interface Instrumented {
  activeMutant?: string;
  currentTestId?: string;
  hitCount?: number;
  hitLimit?: number;
  mutantCoverage?: DryRunResult extends { readonly mutantCoverage?: infer C } ? C : never;
}

/** Our own key in the configuration. */
interface Btcbot {
  readonly btcbot: { readonly tests: readonly string[] };
}

const instrumented = (): Instrumented => {
  const global = globalThis as { __stryker__?: Instrumented };
  global.__stryker__ ??= {};
  return global.__stryker__;
};

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

class MochaRunner implements TestRunner {
  static readonly inject = tokens(commonTokens.options);
  private readonly mocha: Mocha;
  private tests: TestResult[] = [];
  private loaded = false;
  private perTest = false;

  constructor(options: StrykerOptions) {
    const results = (): TestResult[] => this.tests;
    class Collector {
      constructor(runner: Mocha.Runner) {
        let startedMs = performance.now();
        runner.on('test', () => {
          startedMs = performance.now();
        });
        runner.on('pass', test => {
          const id = test.fullTitle();
          const timeSpentMs = performance.now() - startedMs;
          results().push({ id, name: id, status: TestStatus.Success, timeSpentMs });
        });
        runner.on('fail', (test, error: Error) => {
          const id = test.fullTitle();
          const failureMessage = error.message || 'it failed without a word';
          const timeSpentMs = performance.now() - startedMs;
          results().push({ id, name: id, status: TestStatus.Failed, failureMessage, timeSpentMs });
        });
      }
    }
    this.mocha = new Mocha({ reporter: Collector as never, timeout: 0 });
    this.mocha.cleanReferencesAfterRun(false);
    for (const file of (options as unknown as Btcbot).btcbot.tests) this.mocha.addFile(resolve(file));
    const current = (): boolean => this.perTest;
    this.mocha.suite.beforeEach(function () {
      if (current()) instrumented().currentTestId = this.currentTest?.fullTitle() ?? '';
    });
  }

  capabilities(): { readonly reloadEnvironment: boolean } {
    // An imported module stays: a mutant that acts while a module loads needs a new process.
    return { reloadEnvironment: false };
  }

  async dryRun({ coverageAnalysis, disableBail }: DryRunOptions): Promise<DryRunResult> {
    this.perTest = coverageAnalysis === 'perTest';
    const result = await this.run(disableBail, undefined, false);
    this.perTest = false;
    const { mutantCoverage } = instrumented();
    return result.status === DryRunStatus.Complete && mutantCoverage !== undefined
      ? { ...result, mutantCoverage }
      : result;
  }

  async mutantRun(options: MutantRunOptions): Promise<MutantRunResult> {
    const context = instrumented();
    if (options.hitLimit === undefined) {
      delete context.hitLimit;
      delete context.hitCount;
    } else {
      context.hitLimit = options.hitLimit;
      context.hitCount = 0;
    }
    this.mocha.grep(
      options.testFilter === undefined
        ? /.*/
        : new RegExp(options.testFilter.map(id => `(^${escaped(id)}$)`).join('|')),
    );
    return toMutantRunResult(
      await this.run(options.disableBail, options.activeMutant.id, options.mutantActivation === 'static'),
    );
  }

  private async run(
    disableBail: boolean,
    mutant: string | undefined,
    fromTheLoad: boolean,
  ): Promise<DryRunResult> {
    const context = instrumented();
    const activate = (id: string | undefined): void => {
      if (id === undefined) delete context.activeMutant;
      else context.activeMutant = id;
    };
    const setBail = (suite: Mocha.Suite): void => {
      suite.bail(!disableBail);
      for (const child of suite.suites) setBail(child);
    };
    this.tests = [];
    try {
      if (!this.loaded) {
        activate(fromTheLoad ? mutant : undefined);
        await this.mocha.loadFilesAsync();
        this.loaded = true;
      }
      setBail(this.mocha.suite);
      activate(mutant);
      await new Promise<void>(done => {
        this.mocha.run(() => done());
      });
      return (
        determineHitLimitReached(context.hitCount, context.hitLimit) ?? {
          status: DryRunStatus.Complete,
          tests: this.tests,
        }
      );
    } catch (error) {
      return {
        status: DryRunStatus.Error,
        errorMessage: error instanceof Error ? (error.stack ?? error.message) : String(error),
      };
    }
  }
}

const DOCUMENT = join('docs', 'RELIABILITY.md');

/** One line of a mutated source, shortened. */
const lineOf = (source: string, line: number): string =>
  (source.split('\n')[line - 1] ?? '').trim().slice(0, 80);

class ReliabilityReporter implements Reporter {
  onMutationTestReportReady(report: Parameters<NonNullable<Reporter['onMutationTestReportReady']>>[0]): void {
    const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
    const scores = Object.entries(report.files).map(([file, { mutants, source }]): ModuleScore => {
      const count = (...statuses: readonly string[]): number =>
        mutants.filter(({ status }) => statuses.includes(status)).length;
      return {
        module: file.replace(/^.*?dist\//, 'src/').replace(/\.js$/, '.ts'),
        killed: count('Killed', 'Timeout'),
        survived: count('Survived'),
        uncovered: count('NoCoverage'),
        when: `${new Date().toISOString().slice(0, 10)}, ${commit}`,
        survivors: mutants
          .filter(({ status }) => status === 'Survived' || status === 'NoCoverage')
          .map(
            ({ location, mutatorName, replacement }): Survivor => ({
              line: lineOf(source, location.start.line),
              what: `${mutatorName}: ${(replacement ?? '').replaceAll(/\s+/g, ' ').slice(0, 60)}`,
            }),
          ),
      };
    });
    const document = existsSync(DOCUMENT) ? readFileSync(DOCUMENT, 'utf8') : '';
    const machine = `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), Node ${process.version}`;
    const section = mutationSection(withScores(document, scores), machine);
    const order = [...PARTS.map(({ name }) => name), MUTANTS_SECTION, SECTION];
    writeFileSync(DOCUMENT, withSection(document, SECTION, section, order));
    for (const { module, survivors } of scores)
      for (const { line, what } of survivors) console.log(`${module}: ${what}\n    ${line}`);
  }
}

export const strykerPlugins = [
  declareClassPlugin(PluginKind.TestRunner, 'btcbot-mocha', MochaRunner),
  declareClassPlugin(PluginKind.Reporter, 'btcbot-reliability', ReliabilityReporter),
];
