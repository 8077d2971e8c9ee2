# Die E-Mails auf Deutsch. Wie diese Datei aufgebaut ist, steht am Anfang von en.ftl.

## Teile vieler E-Mails

facts =
    .when = Zeitpunkt
    .from = IP-Adresse
    .device = Gerät

shared =
    .button = Neues Passwort wählen
    .fallback = Falls die Schaltfläche nicht funktioniert, öffnen Sie diesen Link:
    .reason = Sie erhalten diese E-Mail, weil Sie ein Konto bei { $product } haben. E-Mails zu dessen Sicherheit versenden wir immer.

lifetime =
    .days = { $count ->
        [one] { $count } Tag
       *[other] { $count } Tage
    }
    .hours = { $count ->
        [one] { $count } Stunde
       *[other] { $count } Stunden
    }
    .minutes = { $count ->
        [one] { $count } Minute
       *[other] { $count } Minuten
    }
    .seconds = { $count ->
        [one] { $count } Sekunde
       *[other] { $count } Sekunden
    }

moment =
    .text = { $day }. { $month ->
        [1] Januar
        [2] Februar
        [3] März
        [4] April
        [5] Mai
        [6] Juni
        [7] Juli
        [8] August
        [9] September
        [10] Oktober
        [11] November
       *[12] Dezember
    } { $year } um { $time } Uhr (UTC)

if-you = Wenn Sie das waren, brauchen Sie nichts zu tun.

knows-password = Wenn Sie das nicht waren, kennt jemand anderes Ihr Passwort. { $link ->
    [yes] Wählen Sie jetzt ein neues. Dabei werden alle Geräte abgemeldet.
   *[no] Ändern Sie es sofort, hier und überall, wo Sie es sonst noch verwenden.
}

gets-in = Wenn Sie das nicht waren, hat jemand anderes Zugang zu Ihrem Konto. { $link ->
    [yes] Wählen Sie jetzt ein neues Passwort. Dabei werden alle Geräte abgemeldet. Prüfen Sie danach Ihr Konto.
   *[no] Ändern Sie Ihr Passwort, melden Sie alle anderen Geräte ab und wenden Sie sich sofort an die Betreiber von { $product }.
}

if-unexpected = Falls Sie damit nicht gerechnet haben, wenden Sie sich an die Betreiber von { $product }.

## Adressen

verify_email =
    .subject = Bestätigen Sie Ihre E-Mail-Adresse für { $product }
    .heading = Bestätigen Sie Ihre E-Mail-Adresse
    .text = Willkommen bei { $product }. Ein Schritt fehlt noch: Bestätigen Sie, dass diese Adresse Ihnen gehört.
    .button = E-Mail-Adresse bestätigen
    .after =
        Der Link ist { $lifetime } lang gültig und funktioniert nur einmal. Danach können Sie dort, wo Sie sich
        registriert haben, einen neuen anfordern.

        Wenn Sie sich nicht registriert haben, ignorieren Sie diese E-Mail: Die Adresse bleibt unbestätigt, und Sie
        hören in dieser Sache nichts mehr von uns.
    .reason = Sie erhalten diese E-Mail, weil sich jemand mit Ihrer Adresse bei { $product } registriert hat.

account_exists =
    .subject = Sie haben bereits ein Konto bei { $product }
    .heading = Sie haben bereits ein Konto
    .text =
        Jemand wollte sich mit dieser E-Mail-Adresse bei { $product } registrieren. Zu ihr gibt es bereits ein Konto,
        deshalb wurde nichts angelegt und nichts geändert.
    .next = Wenn Sie das waren, melden Sie sich mit Ihrem bisherigen Passwort an.
    .button = Anmelden
    .recovery = Wenn Sie Ihr Passwort vergessen haben, wählen Sie ein neues.
    .after =
        Wenn Sie das nicht waren, ignorieren Sie diese E-Mail: Ihr Konto ist sicher, und wer es versucht hat, hat nicht
        erfahren, dass es existiert.
    .reason = Sie erhalten diese E-Mail, weil Sie ein Konto bei { $product } haben.

confirm_email_change =
    .subject = Bestätigen Sie Ihre neue E-Mail-Adresse für { $product }
    .heading = Bestätigen Sie Ihre neue E-Mail-Adresse
    .text =
        Jemand möchte diese Adresse für ein Konto bei { $product } verwenden. Wenn Sie das sind, bestätigen Sie, dass
        sie Ihnen gehört.
    .button = Neue Adresse bestätigen
    .after =
        Der Link ist { $lifetime } lang gültig und funktioniert nur einmal. Bis Sie ihn benutzen, behält das Konto seine
        bisherige Adresse.

        Wenn Sie das nicht waren, ignorieren Sie diese E-Mail: Es ändert sich nichts.
    .reason = Sie erhalten diese E-Mail, weil jemand Ihre Adresse bei { $product } verwenden möchte.

email_change_taken =
    .subject = Zu Ihrer Adresse gibt es bereits ein Konto bei { $product }
    .heading = Zu Ihrer Adresse gibt es bereits ein Konto
    .text =
        Jemand möchte diese Adresse für ein anderes Konto bei { $product } verwenden. Zu ihr gibt es bereits ein Konto,
        deshalb wurde nichts geändert.
    .next =
        Wenn Sie das waren, melden Sie sich mit dieser Adresse an, um ihr Konto zu benutzen, oder wählen Sie für das
        andere Konto eine andere Adresse.

        Wenn Sie das nicht waren, ignorieren Sie diese E-Mail: Ihr Konto ist sicher, und wer es versucht hat, hat nicht
        erfahren, dass es existiert.
    .reason = Sie erhalten diese E-Mail, weil Sie ein Konto bei { $product } haben.

email_changed =
    .subject = Ihre E-Mail-Adresse für { $product } wurde geändert
    .heading = Ihre E-Mail-Adresse wurde geändert
    .text =
        Die E-Mail-Adresse Ihres Kontos bei { $product } wurde geändert. Ab jetzt gehen alle E-Mails an die neue
        Adresse.
    .name = Neue Adresse
    .next =
        { if-you }

        Wenn Sie das nicht waren, machen Sie die Änderung rückgängig. Dann hat das Konto wieder diese Adresse, alle
        Geräte werden abgemeldet, und das Passwort gilt nicht mehr.
    .button = Änderung rückgängig machen
    .after = Der Link ist { $lifetime } lang gültig und funktioniert nur einmal.
    .reason = Sie erhalten diese E-Mail, weil Ihr Konto bei { $product } bisher diese Adresse hatte. E-Mails zu dessen Sicherheit versenden wir immer.

email_restored =
    .subject = Ihr Konto bei { $product } hat wieder diese Adresse
    .heading = Die Änderung wurde rückgängig gemacht
    .text =
        Die Änderung Ihrer E-Mail-Adresse wurde rückgängig gemacht: Ihr Konto bei { $product } hat wieder diese Adresse.
        Alle Geräte wurden abgemeldet, und das bisherige Passwort gilt nicht mehr.
    .next = { $link ->
        [yes] Wählen Sie ein neues Passwort, um sich wieder anzumelden.
       *[no] Fordern Sie dort, wo Sie sich anmelden, ein neues Passwort an.
    }
    .button = Neues Passwort wählen
    .after = { $link ->
        [yes] Der Link ist { $lifetime } lang gültig und funktioniert nur einmal.
       *[no] { "" }
    }

        Wenn Sie das nicht waren, kann jemand anderes Ihre E-Mails lesen. Ändern Sie zuerst das Passwort Ihres
        Postfachs.

## Passwörter

reset_password =
    .subject = Wählen Sie ein neues Passwort für { $product }
    .heading = Wählen Sie ein neues Passwort
    .text =
        Jemand hat für Ihr Konto bei { $product } ein neues Passwort angefordert. Wenn Sie das waren, wählen Sie es
        jetzt.
    .button = Neues Passwort wählen
    .after =
        Der Link ist { $lifetime } lang gültig und funktioniert nur einmal. Danach können Sie dort, wo Sie sich
        anmelden, einen neuen anfordern.

        Wenn Sie das nicht waren, ignorieren Sie diese E-Mail: Ihr Passwort bleibt, wie es ist.
    .reason = Sie erhalten diese E-Mail, weil jemand bei { $product } für Ihre Adresse ein neues Passwort angefordert hat.

password_changed =
    .subject = Ihr Passwort für { $product } wurde geändert
    .heading = Ihr Passwort wurde geändert
    .text = Das Passwort Ihres Kontos bei { $product } wurde geändert. Alle anderen Geräte wurden abgemeldet.
    .next =
        { if-you }

        Wenn Sie das nicht waren, kennt jemand anderes Ihr Passwort. { $link ->
            [yes] Wählen Sie jetzt ein neues. Dabei werden alle Geräte abgemeldet.
           *[no] Wenden Sie sich sofort an die Betreiber von { $product } und ändern Sie dieses Passwort überall, wo Sie es sonst noch verwenden.
        }

password_reset =
    .subject = Ihr Passwort für { $product } wurde zurückgesetzt
    .heading = Ihr Passwort wurde zurückgesetzt
    .text =
        Für Ihr Konto bei { $product } wurde ein neues Passwort gewählt, über einen Link, den wir Ihnen geschickt
        hatten. Alle Geräte wurden abgemeldet.
    .next =
        { if-you }

        Wenn Sie das nicht waren, kann jemand anderes Ihre E-Mails lesen. Ändern Sie zuerst das Passwort Ihres
        Postfachs. { $link ->
            [yes] Wählen Sie dann hier ein neues Passwort.
           *[no] Wählen Sie dann ein neues Passwort für { $product }.
        }

## Anmeldung

new_device =
    .subject = Neue Anmeldung mit Ihrem Konto bei { $product }
    .heading = Neue Anmeldung
    .text =
        Jemand hat sich mit Ihrem Konto bei { $product } angemeldet, von einem Gerät oder aus einem Netzwerk, das dafür
        bisher nicht benutzt wurde.
    .next =
        { if-you }

        { gets-in }

suspicious_sign_in =
    .subject = Jemand kennt Ihr Passwort für { $product }
    .heading = Jemand kennt Ihr Passwort
    .text =
        Jemand hat das richtige Passwort Ihres Kontos bei { $product } eingegeben und danach mehrmals einen falschen
        zweiten Faktor. Die Anmeldung ist nicht gelungen.
    .next =
        Wenn Sie das waren, brauchen Sie nichts zu tun. Warten Sie ein wenig, bevor Sie es wieder versuchen.

        { knows-password }

device_remembered =
    .subject = Neues vertrauenswürdiges Gerät für Ihr Konto bei { $product }
    .heading = Neues vertrauenswürdiges Gerät
    .text = Auf diesem Gerät ist für die Anmeldung bei { $product } eine Zeit lang kein zweiter Faktor nötig.
    .name = Gespeichert als
    .next =
        Wenn Sie das waren, brauchen Sie nichts zu tun. Sie können das jederzeit widerrufen.

        { gets-in }

session_stolen =
    .subject = Ein Gerät wurde bei { $product } abgemeldet
    .heading = Ein Gerät wurde abgemeldet
    .text =
        Ein Schlüssel, mit dem eines Ihrer Geräte bei { $product } angemeldet bleibt, wurde ein zweites Mal verwendet.
        Möglicherweise wurde er kopiert. Deshalb haben wir dieses Gerät abgemeldet.
    .next =
        Melden Sie sich wieder an. Der Grund kann auch eine fehlerhafte App sein oder ein Gerät, das aus einer Sicherung
        wiederhergestellt wurde. Wenn Sie nicht sicher sind, dass es eines Ihrer eigenen Geräte war, { $link ->
            [yes] wählen Sie ein neues Passwort.
           *[no] ändern Sie Ihr Passwort.
        }

## Zweite Faktoren

second_factor_added =
    .subject = Zweiter Faktor für Ihr Konto bei { $product } hinzugefügt
    .heading = Ein zweiter Faktor wurde hinzugefügt
    .text =
        Ihrem Konto bei { $product } wurde ein zweiter Faktor hinzugefügt. Ab jetzt ist für die Anmeldung einer seiner
        Codes nötig.
    .name = Zweiter Faktor
    .next =
        { if-you }

        { gets-in }

second_factor_removed =
    .subject = Zweiter Faktor von Ihrem Konto bei { $product } entfernt
    .heading = Ein zweiter Faktor wurde entfernt
    .text = Von Ihrem Konto bei { $product } wurde ein zweiter Faktor entfernt. Seine Codes gelten nicht mehr.
    .name = Zweiter Faktor
    .next =
        { if-you }

        { gets-in }

second_factor_disabled =
    .subject = Zweiter Faktor für Ihr Konto bei { $product } abgeschaltet
    .heading = Ein zweiter Faktor wurde abgeschaltet
    .text =
        Ein zweiter Faktor Ihres Kontos bei { $product } wurde abgeschaltet, weil zu viele falsche Codes eingegeben
        wurden. Seine Codes gelten nicht mehr.
    .name = Zweiter Faktor
    .next =
        Wenn Sie das waren, melden Sie sich auf einem anderen Weg an, etwa mit einem Wiederherstellungscode, und fügen
        Sie ihn neu hinzu.

        { knows-password }

passkey_added =
    .subject = Passkey für Ihr Konto bei { $product } hinzugefügt
    .heading = Ein Passkey wurde hinzugefügt
    .text = Ihrem Konto bei { $product } wurde ein Passkey hinzugefügt. Wer ihn besitzt, kann sich damit anmelden.
    .name = Passkey
    .next =
        { if-you }

        { gets-in }

passkey_removed =
    .subject = Passkey von Ihrem Konto bei { $product } entfernt
    .heading = Ein Passkey wurde entfernt
    .text = Von Ihrem Konto bei { $product } wurde ein Passkey entfernt. Mit ihm kann sich niemand mehr anmelden.
    .name = Passkey
    .next =
        { if-you }

        { gets-in }

passkey_cloned =
    .subject = Ein Passkey für { $product } wurde möglicherweise kopiert
    .heading = Ein Passkey wurde möglicherweise kopiert
    .text =
        Ein Passkey Ihres Kontos bei { $product } wurde verwendet, und sein Zähler lief nicht dort weiter, wo er zuletzt
        stand. Das deutet auf eine Kopie hin.
    .name = Passkey
    .next =
        Melden Sie sich auf einem anderen Weg an, entfernen Sie diesen Passkey und fügen Sie einen neuen hinzu.

        Wenn nicht Sie ihn verwendet haben, hat jemand anderes Zugang zu Ihrem Konto. { $link ->
            [yes] Entfernen Sie ihn und wählen Sie ein neues Passwort.
           *[no] Entfernen Sie ihn und wenden Sie sich sofort an die Betreiber von { $product }.
        }

recovery_code_used =
    .subject = Wiederherstellungscode für Ihr Konto bei { $product } verwendet
    .heading = Ein Wiederherstellungscode wurde verwendet
    .text =
        Ein Wiederherstellungscode Ihres Kontos bei { $product } wurde anstelle eines zweiten Faktors verwendet. { $left ->
            [0] Es war der letzte. Erzeugen Sie neue, solange Sie angemeldet sind.
            [one] Einer ist noch übrig. Erzeugen Sie neue, bevor Sie sie brauchen.
           *[other] { $left } sind noch übrig.
        }
    .next =
        { if-you }

        { gets-in }

recovery_codes_replaced =
    .subject = Neue Wiederherstellungscodes für Ihr Konto bei { $product }
    .heading = Neue Wiederherstellungscodes
    .text =
        Für Ihr Konto bei { $product } wurden neue Wiederherstellungscodes erzeugt. Die bisherigen gelten nicht mehr.
    .next =
        { if-you }

        { gets-in }

factors_reset =
    .subject = Zweite Faktoren von Ihrem Konto bei { $product } entfernt
    .heading = Ihre zweiten Faktoren wurden entfernt
    .text =
        Die Betreiber von { $product } haben alle zweiten Faktoren von Ihrem Konto entfernt. Bis Sie wieder einen
        hinzufügen, genügt für die Anmeldung Ihr Passwort.
    .next =
        Wenn Sie darum gebeten haben, fügen Sie bald einen neuen zweiten Faktor hinzu.

        Wenn Sie nicht darum gebeten haben, wenden Sie sich sofort an die Betreiber und ändern Sie Ihr Passwort.

## Der Tresor

secret_revealed =
    .subject = Ein Geheimnis in Ihrem Konto bei { $product } wurde angezeigt
    .heading = Ein Geheimnis wurde angezeigt
    .text =
        Ein Geheimnis, das Sie bei { $product } aufbewahren, wurde auf einem Gerät oder in einem Netz angezeigt, in dem
        bisher keines Ihrer Geheimnisse angezeigt wurde.
    .name = Geheimnis
    .next =
        { if-you }

        Wenn Sie das nicht waren, machen Sie den Schlüssel bei dem Dienst ungültig, zu dem er gehört.

        { gets-in }

access_key_added =
    .subject = Zugangsschlüssel für Ihr Konto bei { $product } hinzugefügt
    .heading = Ein Zugangsschlüssel wurde hinzugefügt
    .text =
        Für Ihr Konto bei { $product } wurde ein Zugangsschlüssel erstellt. Wer ihn besitzt, kann ohne Anmeldung
        verwenden, was Sie dort aufbewahren, soweit der Schlüssel es erlaubt.
    .name = Zugangsschlüssel
    .next =
        { if-you }

        Wenn Sie das nicht waren, entfernen Sie den Zugangsschlüssel.

        { gets-in }

## Das Konto

deletion_scheduled =
    .subject = Ihr Konto bei { $product } wird gelöscht
    .heading = Ihr Konto wird gelöscht
    .text =
        Sie haben uns gebeten, Ihr Konto bei { $product } zu löschen. Am { $due } wird es endgültig gelöscht, mit allem,
        was dazugehört.
    .next =
        Wenn Sie es sich anders überlegen, melden Sie sich vorher an. Dann wird nichts gelöscht.

        Wenn Sie das nicht waren, melden Sie sich jetzt an und ändern Sie Ihr Passwort.

deletion_cancelled =
    .subject = Ihr Konto bei { $product } wird nicht gelöscht
    .heading = Ihr Konto bleibt bestehen
    .text =
        Sie haben sich mit Ihrem Konto bei { $product } angemeldet, deshalb wird es nicht gelöscht. Alles ist, wie es
        war.
    .next =
        Wenn Sie es weiterhin löschen möchten, fordern Sie das noch einmal an.

        Wenn nicht Sie sich angemeldet haben, kennt jemand anderes Ihr Passwort. Ändern Sie es jetzt.

account_deleted =
    .subject = Ihr Konto bei { $product } wurde gelöscht
    .heading = Ihr Konto wurde gelöscht
    .text =
        Ihr Konto bei { $product } wurde gelöscht, mit allem, was dazugehörte. Das ist die letzte E-Mail dazu.
    .next = Wenn Sie nicht darum gebeten haben, wenden Sie sich an die Betreiber von { $product }.
    .reason = Sie erhalten diese E-Mail, weil Sie ein Konto bei { $product } hatten.

account_disabled =
    .subject = Ihr Konto bei { $product } wurde gesperrt
    .heading = Ihr Konto wurde gesperrt
    .text =
        Die Betreiber von { $product } haben Ihr Konto gesperrt. Alle Geräte wurden abgemeldet, und niemand kann sich
        anmelden.
    .next = { if-unexpected }

account_enabled =
    .subject = Ihr Konto bei { $product } ist wieder freigegeben
    .heading = Ihr Konto ist wieder freigegeben
    .text = Die Betreiber von { $product } haben Ihr Konto wieder freigegeben. Sie können sich anmelden.
    .next = { if-unexpected }

identity_verified =
    .subject = Ihre Identität bei { $product } wurde bestätigt
    .heading = Ihre Identität wurde bestätigt
    .text = Eine Identitätsprüfung für Ihr Konto bei { $product } war erfolgreich. Was eine bestätigte Identität verlangt, steht Ihnen nun offen.
    .next =
        { if-you }

        { gets-in }
