/** Which page the address means. */
import { useErrorBoundary } from "preact/hooks";
import { AccountPage } from "./pages/account";
import { AnalyticsPage } from "./pages/analytics";
import { LogInPage, SignUpPage } from "./pages/entry";
import { PipelinePage } from "./pages/pipeline";
import { TradePage } from "./pages/trade";
import { Empty, Link } from "./parts/common";
import { Shell } from "./parts/shell";
import { route } from "./router";

export function App() {
  return (
    <Shell>
      <Page />
    </Shell>
  );
}

function Page() {
  const now = route.value;
  const [error, again] = useErrorBoundary((failure) => console.error(failure));
  if (error) {
    return (
      <div class="empty" role="alert">
        <p class="empty-title">This page could not be shown</p>
        <p>{String(error)}</p>
        <button type="button" onClick={again}>
          Try again
        </button>
      </div>
    );
  }
  switch (now.page) {
    case "trade":
      return <TradePage wanted={now.instrument} />;
    case "analytics":
      return <AnalyticsPage />;
    case "pipeline":
      return <PipelinePage />;
    case "account":
      return <AccountPage />;
    case "log-in":
      return <LogInPage />;
    case "sign-up":
      return <SignUpPage />;
    case "unknown":
      return (
        <Empty title="There is no such page">
          <Link href="/">Go to trading</Link>
        </Empty>
      );
  }
}
